"""What the pages have typed into a shell is typed, line for line: the ports alone are others."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from tests.docs.test_commands import FOUND, SHELL
from tests.e2e.command import Here, start
from tests.e2e.serving import free_port, wait_for
from tests.e2e.waiting import DEADLINE_S
from tests.mutations.saved import FILES, OF_EXPERIMENT, unpacked
from tests.test_docs import DOCS, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

AGENT, SIMULATOR = "8080", "8081"
"""The ports on the pages."""
ASKS_THRICE = """#!/bin/sh
for turn in 1 2 3; do
  curl --silent --output answer --write-out 'said %{http_code}\\n' \\
    --json '{"model": "m", "messages": [{"role": "user", "content": "hello"}]}' \\
    "$OPENAI_BASE_URL/chat/completions"
done
"""
"""A reader's own tests: calls with a client that does not try again."""


def block(page: str, begins: str) -> str:
    """Return the block of a page in which something is typed."""
    (found,) = [each for each in SHELL.findall((DOCS / page).read_text("utf-8")) if begins in each]
    return str(found)


def typed(text: str, folder: Path, programs: Mapping[str, str]) -> str:
    """Type lines into a shell that ends at the first that fails; return what it showed."""
    agent, simulator = str(free_port()), str(free_port())
    ours = {
        "agentrig": f'#!/bin/sh\nexec "{sys.executable}" -m harness "$@"\n',
        "python": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n',
        "pip": "#!/bin/sh\n",  # what it installs is there
    }
    (folder / "bin").mkdir()
    for name, body in {**ours, **programs}.items():
        (folder / "bin" / name).write_text(body)
        (folder / "bin" / name).chmod(0o755)
    lines = text.replace(f":{AGENT}/", f":{agent}/").replace(f":{AGENT} ", f":{agent} ")
    script = f"trap 'kill -9 $(jobs -p) 2> /dev/null' EXIT\n{lines.replace(SIMULATOR, simulator)}"
    done = subprocess.run(
        ["bash", "-emuo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PORT": agent, "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=4 * DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    return done.stdout


def test_the_reference_agent_is_asked_by_hand(tmp_path: Path) -> None:
    text = block("agent.md", "python -m reference_agent")
    # On a busy machine what is timed is unknown; what is wrong is another exit code.
    text = re.sub(r"^(agentrig conform \S+)", r"\1 || test $? -eq 2", text, flags=re.MULTILINE)
    said = typed(text, tmp_path, {})
    assert "session-isolation" in said
    assert '"status":"Healthy"' in said.replace(" ", "")
    assert re.search(r"^data: ", said, re.MULTILINE), said
    assert re.search(r"^HTTP/1\.1 2\d\d", said, re.MULTILINE), said
    assert (tmp_path / "sessions.db").exists()


def test_the_simulator_is_told_by_hand_what_goes_wrong(tmp_path: Path) -> None:
    said = typed(block("simulator.md", "sim/journal/flush"), tmp_path, {"npm": ASKS_THRICE})
    assert re.findall(r"said (\d+)", said) == ["429", "429", "200"]
    assert '"rate_limit_requests"' in said


def test_the_simulator_is_told_by_the_file_of_its_page(tmp_path: Path) -> None:
    page = (DOCS / "simulator.md").read_text("utf-8")
    (file,) = [each for each in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[quota]" in each]
    (tmp_path / "sim.toml").write_text(file)
    (line,) = [
        each for each in page.splitlines() if "--config sim.toml" in each and each.startswith("agentrig")
    ]
    port = str(free_port())
    words = shlex.split(line.replace(SIMULATOR, port), comments=True)
    process = start(*words[1:], cwd=tmp_path)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(process, f"{url}/healthz")
        told = httpx.get(f"{url}/sim/config", timeout=DEADLINE_S).json()
        assert told["quota"]
        assert told["tool_turns"] == 1
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


# --- what needs a run, or traces, and nothing else -----------------------------------------------
OF_WHAT_IS_SAVED = {"judge", "report", "calibrate", "plan", "observe"}
NOT_HERE = ("--check", "--every", "--service", "jaeger:", "tempo:", "cloudwatch:", "otlp")
"""A fleet, a time, a reader's own service, or somebody else's store: those are run by tests of their own."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all is there that the pages name: a run, traces, and prices."""
    folder = tmp_path_factory.mktemp("saved")
    run = folder / "runs" / "RUN"
    run.mkdir(parents=True)
    whole = unpacked("run", tmp_path_factory.mktemp("whole"))
    for name in FILES:
        kept = (whole / name).read_text("utf-8")
        if name.endswith(".jsonl"):
            lines = kept.splitlines(keepends=True)
            kept = "".join(
                line for line in lines if any("clients" in each for each in OF_EXPERIMENT.findall(line))
            )
        (run / name).write_text(kept, "utf-8")
    (folder / "traces.jsonl").write_bytes((run / "spans.jsonl").read_bytes())
    (folder / "prices.toml").write_text("container_hour = 0.1\n")
    return folder


def lines_of(page: Path) -> list[list[str]]:
    """Return what a page has typed of what is saved, in its order."""
    found = (words for of_page, words in FOUND if of_page == page and {*words[:1]} & OF_WHAT_IS_SAVED)
    return [
        words
        for words in found
        if words[1:] != ["--help"]
        and {"runs/RUN", "traces.jsonl", "workload.toml"} & set(words)
        and not any(each in word for word in words for each in NOT_HERE)
    ]


PAGES = [page for page in sorted({page for page, _ in FOUND}) if lines_of(page)]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_what_a_page_does_with_a_run_or_with_traces_comes_to_a_verdict(
    page: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.plan.search.REQUESTS", 1500)
    here = Here(saved, monkeypatch, capsys)
    for words in lines_of(page):
        if words[0] == "plan" and not (saved / "workload.toml").exists():
            assert here.says("calibrate", "runs/RUN")[0] in {0, 2}
        code, out, err = here.says(*words)
        assert code in {0, 1, 2}, f"{shlex.join(words)}: {out}{err}"
        assert out
        assert "Traceback" not in err


def test_there_is_something_to_type_on_each_page_that_is_about_it() -> None:
    assert {page.name for page in PAGES} >= {"README.md", "first-verdict.md", "plan.md", "production.md"}


def test_the_traces_of_a_run_are_shown_until_it_is_interrupted(saved: Path) -> None:
    (words,) = {tuple(words) for _, words in FOUND if words[:2] == ["traces", "runs/RUN"]}
    process = start(*words, cwd=saved)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+\S*", line) or pytest.fail(
            f"{line}{process.communicate()}"
        )
        assert "<html" in httpx.get(url, timeout=DEADLINE_S).text
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE_S)
        assert process.returncode in {0, 130}
        assert "Traceback" not in err
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
