"""A version to be measured: a folder, or a commit that is checked out, with an environment of its own."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.asking.described import find
from harness.errors import InputError, StartError, quote
from harness.own.config import read
from harness.process.guard import scratch_folder
from harness.under_test import AgentUnderTest

DEPENDENCIES: Final = ("pyproject.toml", "constraints.txt")
EXTRA: Final = "agent"
LAST_LINES: Final = 12

Runner = Callable[[Sequence[str], Path], str]
"""Runs a program in a folder and returns what it printed; raises `ProgramError` when that fails."""


class ProgramError(Exception):
    """A program ended with another status than 0; the words are the end of what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A version that can be started.

    Attributes:
        label: how it was asked for, with the commit where it is one.
        folder: its files.
        python: the interpreter of its environment.
        module: what it runs.
        own: a user's own agent, in place of all that.
    """

    label: str
    folder: Path
    python: Path
    module: str = "reference_agent"
    own: AgentUnderTest | None = None

    @property
    def argv(self) -> tuple[str, ...]:
        """What starts its agent; `-P` keeps the present folder's modules out."""
        return (str(self.python), "-P", "-m", self.module)

    @property
    def env(self) -> Mapping[str, str]:
        """What makes the interpreter take this version's modules."""
        return {"PYTHONPATH": str(self.folder)}


def run_program(argv: Sequence[str], folder: Path) -> str:
    """Run a program to its end.

    Raises:
        ProgramError: it failed, or there is none.
    """
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ProgramError(f"{argv[0]}: {error.strerror}") from error
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()[-LAST_LINES:]
        raise ProgramError(quote(lines))
    return done.stdout


class Sources:
    """Makes versions ready.

    Args:
        trees: folder for the checkouts of commits.
        cache: folder for environments, kept between runs: a new one takes a minute.
        run: runs git, venv and pip.
        on_phase: is told what takes a while.
        same_env: whether to use this interpreter's environment for all, and build none.
    """

    def __init__(
        self,
        trees: Path,
        cache: Path,
        *,
        run: Runner = run_program,
        on_phase: Callable[[str], None] = lambda _: None,
        same_env: bool = False,
    ) -> None:
        self._trees = trees
        self._cache = cache
        self._run = run
        self._on_phase = on_phase
        self._same_env = same_env

    def get(self, words: str, name: str) -> Source:
        """Return the version that `words` name: a folder, or anything that git takes for a commit.

        Args:
            words: as given on the command line.
            name: `base` or `head`.

        Raises:
            InputError: it is neither.
            StartError: it can't be checked out, or its environment can't be built.
        """
        if not words.strip() or words.startswith("-"):
            raise InputError(
                f"--{name} {words!r}: names no version. Give a path, a branch, a tag or a commit."
            )
        folder = Path(words)
        if folder.is_dir():
            return self._ready(folder.resolve().name, folder.resolve(), name)
        try:
            commit = self._run(("git", "rev-parse", "--verify", "--quiet", f"{words}^{{commit}}"), Path.cwd())
        except ProgramError as error:
            raise InputError(
                f"--{name} {words}: is neither a folder nor a commit of the repository here. "
                "Give a path, a branch, a tag or a commit."
            ) from error
        commit = commit.strip()
        tree = self._trees.absolute() / name
        self._on_phase(f"{name}: checking out {words} ({commit[:10]})")
        try:
            self._run(("git", "worktree", "add", "--force", "--detach", str(tree), commit), Path.cwd())
        except ProgramError as error:
            raise StartError(f"{name}: {words} can't be checked out into {tree}:\n{error}") from error
        # In a repository of several projects, the one that this is run in.
        inside = self._run(("git", "rev-parse", "--show-prefix"), Path.cwd()).strip()
        return self._ready(f"{words} ({commit[:10]})", tree / inside, name)

    def drop(self) -> None:
        """Remove the checkouts."""
        for tree in self._trees.absolute().glob("[!.]*"):  # what begins with a dot is no checkout
            self._run(("git", "worktree", "remove", "--force", str(tree)), Path.cwd())

    def _ready(self, label: str, folder: Path, name: str) -> Source:
        if file := find(folder):
            return self._own(label, file, name)
        if not (folder / "reference_agent").is_dir():
            raise InputError(
                f"--{name} {label}: has neither agentrig.toml nor a reference_agent folder: nothing to "
                "start. `agentrig init` writes an agentrig.toml."
            )
        if self._same_env:
            return Source(label=label, folder=folder, python=Path(sys.executable))
        environment = self._cache / f"env-{fingerprint(folder)}"
        python = environment / "bin" / "python"
        if not (environment / ".ready").exists():
            self._on_phase(f"{name}: building its environment (about a minute, once)")
            self._build(environment, folder, name)
        return Source(label=label, folder=folder, python=python)

    def _own(self, label: str, file: Path, name: str) -> Source:
        described = read(file)
        if described.agent.urls:
            raise InputError(f"--{name} {label}: {file.name} has urls: the gate needs a command or an image.")
        if described.agent.setup:
            self._on_phase(f"{name}: {' '.join(described.agent.setup)}")
            try:
                self._run(described.agent.setup, file.parent)
            except ProgramError as error:
                raise StartError(f"{name}: [agent] setup failed in {file.parent}:\n{error}") from error
        own = described.under_test(file.parent)
        return Source(label=label, folder=file.parent, python=Path(sys.executable), own=own)

    def _build(self, environment: Path, folder: Path, name: str) -> None:
        constraints = folder / "constraints.txt"
        pinned = ("--constraint", str(constraints)) if constraints.exists() else ()
        python = str(environment / "bin" / "python")
        steps = (
            (sys.executable, "-m", "venv", "--clear", str(environment)),
            (python, "-m", "pip", "install", "--quiet", f"{folder}[{EXTRA}]", *pinned),
        )
        environment.parent.mkdir(parents=True, exist_ok=True)
        for step in steps:
            try:
                self._run(step, folder)
            except ProgramError as error:
                raise StartError(
                    f"{name}: its environment can't be built: {' '.join(step[1:4])} failed:\n{error}"
                ) from error
        (environment / ".ready").touch()


@contextmanager
def temporary_sources(on_phase: Callable[[str], None], *, same_env: bool) -> Iterator[Sources]:
    """Yield sources whose checkouts are gone at the end; their environments are kept for the next time.

    Args:
        on_phase: is told what takes a while.
        same_env: whether to use this interpreter's environment for all, and build none.
    """
    with scratch_folder("trees") as trees:
        sources = Sources(trees, default_cache(), on_phase=on_phase, same_env=same_env)
        try:
            yield sources
        finally:
            sources.drop()


def fingerprint(folder: Path) -> str:
    """Name an environment by what decides on its content: Python, and the files that list dependencies."""
    digest = hashlib.sha256(sys.version.encode())
    for name in DEPENDENCIES:
        file = folder / name
        digest.update(file.read_bytes() if file.exists() else b"-")
    return digest.hexdigest()[:16]


def default_cache() -> Path:
    """Return where environments are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentrig" / "gate"
