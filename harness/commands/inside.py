"""`agentrig run --inside`: the same run as a Job of the cluster, and its folder brought back here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

from harness.clock import Clock
from harness.commands.console import EXIT, err, finish, print_error
from harness.errors import InputError, StartError
from harness.fleet.images import VARIABLE as AGENT_IMAGE
from harness.fleet.kubernetes.inside.bench import Bench, Task
from harness.fleet.kubernetes.inside.errand import GIVEN
from harness.fleet.kubernetes.kubeconfig import connect
from harness.fleet.where import Kind, Where
from harness.outside.files import read_bytes
from harness.own.config import OwnAgent
from harness.report.verdict_json import from_json
from harness.run.folder import RunFolder, new_run_id
from harness.under_test import FROM_ENVIRONMENT

IMAGE: Final = "agentrig-harness"
"""What dashboards/harness.Dockerfile makes."""
VERDICT: Final = "verdict.json"
ELSEWHERE: Final = "run"
"""The run folder in the pod, where the one here has a path that means nothing there."""
OTLP_HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"

Inside = Annotated[
    bool,
    typer.Option(
        "--inside", help="With --on kubernetes: all of the bench is a pod there, and not the agents alone."
    ),
]
BenchImage = Annotated[
    str, typer.Option("--bench-image", metavar="IMAGE", help="With --inside: what the bench is made of.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was typed that a run inside is told as well.

    Attributes:
        experiments: names, or TOML files.
        options: that it takes as they are, by name; None and False are none.
        agent: the file that describes the user's agent, and what it says.
        workload: the file of that option.
    """

    experiments: Sequence[str]
    options: Mapping[str, str | float | bool | None]
    agent: tuple[Path, OwnAgent] | None
    workload: Path | None


def require(on: Where, *, inside: bool, full: bool, bench_image: str) -> None:
    """Look whether what was typed goes together.

    Raises:
        InputError: it does not.
    """
    if inside and on.kind is not Kind.KUBERNETES:
        raise InputError("--inside is for --on kubernetes: elsewhere the bench is on this machine.")
    if inside and full:
        raise InputError("--inside has no --full: run the matrix where the folder stays, cell by cell.")
    if bench_image != IMAGE and not inside:
        raise InputError("--bench-image is what --inside makes the bench of: give that, too.")


def task_of(asked: Asked, folder: Path, environ: Mapping[str, str] = os.environ) -> Task:
    """Return what is to run in the cluster.

    Args:
        asked: what was typed.
        folder: the run folder here.
        environ: has the variables that the agent's file names.

    Raises:
        InputError: a file can't be read, or can't go there.
    """
    files: dict[str, bytes] = {}
    env: dict[str, str] = {}

    def send(file: Path, path: str) -> str:
        try:
            files[path] = read_bytes(file)
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror}.") from error
        return f"{GIVEN}/{path}"

    words = ["run"]
    for number, word in enumerate(asked.experiments, start=1):
        is_file = word.endswith(".toml") or "/" in word
        words.append(send(Path(word), f"experiment-{number}/{Path(word).name}") if is_file else word)
    if asked.agent is not None:
        file, described = asked.agent
        beside = f"agent/{file.resolve().parent.name or 'agent'}"
        words += ["--agent", send(file, f"{beside}/{file.name}")]
        if prompts := described.request.prompts:
            send(file.parent / prompts, f"{beside}/{_within(prompts)}")
        named = [
            name for value in described.request.headers.values() for name in FROM_ENVIRONMENT.findall(value)
        ]
        env |= {name: environ[name] for name in named}
    if asked.workload is not None:
        words += ["--workload", send(asked.workload, f"workload/{asked.workload.name}")]
    env |= {name: environ[name] for name in (OTLP_HEADERS, AGENT_IMAGE) if name in environ}
    named_alike = not folder.is_absolute() and folder.parts and not any(map(_is_dotted, folder.parts))
    there = str(folder) if named_alike else ELSEWHERE
    words += [*_options(asked.options), "--on", str(Kind.KUBERNETES), "--out", there, "--json"]
    for what, text in (*zip(words, words, strict=True), *env.items()):
        _require_text(what, text)
    return Task(words=tuple(words), folder=there, files=files, env=env)


def _options(options: Mapping[str, str | float | bool | None]) -> Iterator[str]:
    for name, value in options.items():
        if value is True:
            yield name
        elif value is not None and value is not False:
            yield from (name, str(value))


def _is_dotted(part: str) -> bool:
    """Whether a folder is another's there: the one that has it, or one that is hidden."""
    return part.startswith(".")


def _require_text(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"--inside: {what!a} holds bytes that are no UTF-8: a pod can't be told those."
        ) from error


def _within(prompts: str) -> str:
    path = PurePosixPath(prompts)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"--inside: request.prompts = {prompts!r} has to lie in the folder of that file.")
    return str(path)


def run_inside(
    asked: Asked, on: Where, *, image: str, out_dir: Path | None, as_json: bool, quiet: bool, clock: Clock
) -> NoReturn:
    """Run in the cluster, bring the run folder back, tell the verdict, and exit with the code of that run."""
    folder = RunFolder.create(out_dir, new_run_id(clock.now(), os.urandom(2).hex()))
    lines = err if quiet else Console(stderr=as_json)

    def say(line: str) -> None:
        lines.print(line, markup=False, highlight=False, soft_wrap=True)

    def tell(text: str) -> None:
        if not quiet:
            say(text)

    with Bench(
        connect(on.context, clock),
        task_of(asked, folder.path),
        image=image,
        labels={"agentrig.run": folder.path.name},
        clock=clock,
        tell=tell,
    ) as bench:
        status = bench.run(folder.path, say)
    if status < 0:
        raise StartError(
            f"the run in the cluster was killed by signal {-status}. What it left is in {folder.path}."
        )
    if status not in EXIT.values():
        print_error(f"so it ended in the cluster, with exit code {status}; what it left is in {folder.path}.")
        raise typer.Exit(status)
    try:
        result = from_json(read_bytes(folder.path / VERDICT).decode("utf-8", "replace"))
    except OSError as error:
        raise StartError(f"{folder.path / VERDICT}: did not come back: {error.strerror}.") from error
    if out_dir is None:  # a run folder is called as its run
        folder = RunFolder(folder.path.rename(folder.path.with_name(result.run_id)))
    finish(result, folder, as_json=as_json)
