"""Seven pull requests to a small repository, each through the Action's steps: writes `docs/gate-comments.md`.

    python -m tests.proof.gate_heads [NAME ...]

Each takes some minutes. What others' actions do (checkout, Python, cache, upload) is given; the comment goes
to a GitHub API of our own. A verdict that is not the one expected is said, and ends it with 1.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.e2e.github_api import github_api
from tests.e2e.github_runner import ROOT, run_action

HERE: Final = Path(__file__).parent / "gate_repository"
PAGE: Final = ROOT / "docs" / "gate-comments.md"
SAVED: Final = ROOT / "docs" / "gate-comments.jsonl"
RUNNER: Final = Path(tempfile.gettempdir()) / "agentrig-gate-heads"
"""The runner's own folder: installed into by the first of a call, and kept for the others."""
NAMES: Final = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "proof"), ("EMAIL", "proof@localhost"))
}
HEAD: Final = """# What the gate says on a pull request

Seven pull requests to a repository with a small agent, each through the steps of `action.yml`, made by
`python -m tests.proof.gate_heads` on a machine of {cores} cores that others use as well. The comments
are as they were written; headings, and how long figures are written, apart.
"""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a pull request changes.

    Attributes:
        title: of it.
        old, new: text of `agent.py`.
        code: of the job that is right.
        says: what the comment must have in it.
        first: whether base has no agentrig.toml yet.
    """

    title: str
    old: str
    new: str
    code: int
    says: str
    first: bool = False


INVOKED: Final = '    return 200, {"answer": await ask(prompt)}\n'
CHANGES: Final = {
    "same": Change(
        title="Only a comment changes",
        old='"""A small agent: ',
        new='"""A small agent, as before: ',
        code=0,
        says="not worse",
    ),
    "part": Change(
        title="One session load in 33 takes 12 ms more",
        old="        sessions[prompt] = zlib.crc32(prompt.encode())\n",
        new="        sessions[prompt] = zlib.crc32(prompt.encode())\n"
        "        if sessions[prompt] % 33 == 0:\n            time.sleep(0.012)\n",
        code=1,
        says="session",
    ),
    "clients": Change(
        title="The model's client is built for each request",
        old="        return await attempt(client, prompt)\n",
        new="        async with httpx.AsyncClient() as new:\n            return await attempt(new, prompt)\n",
        code=1,
        says="worse",
    ),
    "attempt": Change(
        title="The model is asked once more, to be sure",
        old="        return await attempt(client, prompt)\n",
        new="        await attempt(client, prompt)\n        return await attempt(client, prompt)\n",
        code=1,
        says="per ",
    ),
    "slower": Change(
        title="Each request takes 20 % longer",
        old=INVOKED,
        new="    said = await ask(prompt)\n    await asyncio.sleep(0.2 * (time.perf_counter() - begun))\n"
        '    return 200, {"answer": said}\n',
        code=1,
        says="p50",
    ),
    "errors": Change(
        title="2 % of all requests fail",
        old=INVOKED,
        new="    if zlib.crc32(prompt.encode()) % 50 == 0:\n"
        '        return 500, {"error": "it broke"}\n' + INVOKED,
        code=1,
        says="head fails more requests",
    ),
    "first": Change(
        title="The first pull request: base has no agentrig.toml",
        old='"""A small agent: ',
        new='"""A small agent, now with a gate: ',
        code=0,
        says="started as agentrig.toml of",
        first=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What came of a pull request."""

    name: str
    code: int
    took_s: float
    annotations: tuple[str, ...]
    comment: str


def git(folder: Path, *words: str) -> str:
    """Run git."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **NAMES}
    return subprocess.check_output(("git", *words), cwd=folder, env=env, text=True).strip()


def repository(folder: Path, change: Change) -> str:
    """Make the repository, as the runner checks it out: the merge of head into base. Return base's commit."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    files = {each.name: each.read_text("utf-8") for each in HERE.iterdir() if each.is_file()}
    for name, text in files.items():
        if not (change.first and name == "agentrig.toml"):
            (folder / name).write_text(text, "utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "base")
    base = git(folder, "rev-parse", "HEAD")
    git(folder, "checkout", "--quiet", "-b", "change")
    if change.old not in files["agent.py"]:
        sys.exit(f"{change.title}: agent.py has no {change.old!r}")
    (folder / "agent.py").write_text(files["agent.py"].replace(change.old, change.new, 1), "utf-8")
    (folder / "agentrig.toml").write_text(files["agentrig.toml"], "utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", change.title)
    git(folder, "checkout", "--quiet", "main")
    git(folder, "merge", "--quiet", "--no-ff", "-m", "merge", "change")
    return base


def show(name: str, folder: Path, runner: Path) -> Shown:
    """Send one pull request through the Action."""
    change, begun_s = CHANGES[name], time.monotonic()
    base = repository(folder / name, change)
    with github_api() as api:
        job = run_action(
            folder / name,
            runner,
            inputs={"on-unknown": "fail"},
            event={"pull_request": {"number": 7, "base": {"sha": base}}},
            api_url=api.url,
            skip=["install"] if (runner / "agentrig" / "bin" / "agentrig").exists() else [],
        )
        print(job.printed)
        comment = api.comments[-1]["body"] if api.comments else "(none)"
    return Shown(
        name=name,
        code=job.code,
        took_s=round(time.monotonic() - begun_s, 1),
        annotations=tuple(job.annotations),
        comment=comment,
    )


def page(shown: dict[str, Shown]) -> str:
    """Make the page."""
    parts = [HEAD.format(cores=os.cpu_count())]
    for number, (name, change) in enumerate(CHANGES.items(), start=1):
        if (each := shown.get(name)) is None:
            continue
        comment = each.comment.split("\n", 1)[1].replace("\n## ", "\n### ")
        comment = f"#{comment}" if comment.startswith("## ") else comment
        parts.append(
            f"## {number}. {change.title}\n\nThe job ends with {each.code} after {each.took_s:.0f} s.\n\n"
            f"{comment.strip()}\n"
        )
    return "\n".join(parts)


def main() -> None:
    """Send them, and write the page of all that were sent so far."""
    lines = SAVED.read_text("utf-8").splitlines() if SAVED.exists() else []
    shown = {each["name"]: Shown(**each) for each in map(json.loads, lines)}
    wrong = []
    with tempfile.TemporaryDirectory() as temporary:
        shutil.rmtree(RUNNER / "agentrig", ignore_errors=True)  # of an earlier checkout
        for name in sys.argv[1:] or CHANGES:
            shown[name] = show(name, Path(temporary), RUNNER)
            SAVED.write_text("".join(json.dumps(asdict(each)) + "\n" for each in shown.values()), "utf-8")
            PAGE.write_text(page(shown), "utf-8")
            change, seen = CHANGES[name], shown[name]
            if seen.code != change.code or change.says not in seen.comment:
                wrong.append(f"{name}: ended with {seen.code}, not {change.code}: {seen.annotations[:2]}")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
