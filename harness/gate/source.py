"""A version to be measured: a folder, or a commit that is checked out, with an environment of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from harness.asking.described import find
from harness.errors import InputError, quote
from harness.gate.ending import SideError
from harness.outside.environment import home
from harness.outside.files import read_bytes
from harness.own.config import AgentTable, read
from harness.process import guard
from harness.process.guard import scratch_folder
from harness.under_test import AgentUnderTest

DEPENDENCIES: Final = ("pyproject.toml", "constraints.txt")
EXTRA: Final = "agent"
LAST_LINES: Final = 12
MOST_LABEL: Final = 80
SHALLOW: Final = (
    "this clone is shallow: it has only the newest. Fetch the rest with `git fetch --unshallow`; in CI, "
    "check out with `fetch-depth: 0` (GitHub) or GIT_DEPTH: 0 (GitLab)"
)

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
        file: that describes it.
    """

    label: str
    folder: Path
    python: Path
    module: str = "reference_agent"
    own: AgentUnderTest | None = None
    file: Path | None = None

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
        done = subprocess.run(
            argv,
            cwd=folder,
            env=os.environ | guard.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
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

    def get(self, words: str, name: str, *, like: Source | None = None) -> Source:
        """Return the version that `words` name: a folder, or anything that git takes for a commit.

        Args:
            words: as given on the command line.
            name: `base` or `head`.
            like: the version whose agentrig.toml says how this one is started, where it has none.

        Raises:
            InputError: it is neither.
            SideError: it can't be checked out, or its environment can't be built.
        """
        if not words.strip() or words.startswith("-"):
            raise InputError(
                f"--{name} {words!r}: names no version. Give a path, a branch, a tag or a commit."
            )
        folder, commit = Path(words), self._commit(words)
        if _is_folder(folder):
            if commit is not None:
                raise InputError(
                    f"--{name} {words}: is a folder and a commit ({commit[:10]}) as well. Give ./{words} for "
                    "the folder; for the commit, the whole name of its branch or tag, as refs/heads/NAME, or "
                    f"{words}^0."
                )
            return self._ready(folder.resolve().name, folder.resolve(), name, like)
        if commit is None:
            raise InputError(f"--{name} {words}: is neither a folder nor {self._no_commit()}")
        tree = self._trees.absolute() / name
        self._on_phase(f"{name}: checking out {words} ({commit[:10]})")
        try:
            self._run(("git", "worktree", "add", "--force", "--detach", str(tree), commit), Path.cwd())
        except ProgramError as error:
            raise SideError(name, f"{name}: {words} can't be checked out into {tree}:\n{error}") from error
        self._check_out_submodules(tree, words, name)
        # In a repository of several projects, the one that this is run in.
        inside = self._run(("git", "rev-parse", "--show-prefix"), Path.cwd()).strip()
        label = commit[:10] if commit.startswith(words) else f"{words[:MOST_LABEL]} ({commit[:10]})"
        return self._ready(label, tree / inside, name, like)

    def _commit(self, words: str) -> str | None:
        """Return the commit that words name here; None where they name none, or can only be a path."""
        if words.startswith((".", "/")):
            return None
        try:
            return self._run(
                ("git", "rev-parse", "--verify", "--quiet", f"{words}^{{commit}}"), Path.cwd()
            ).strip()
        except ProgramError:
            return None

    def _no_commit(self) -> str:
        """Say what a word is not that names no commit, and what to do."""
        if is_shallow(self._run):
            return f"a commit that is here, and {SHALLOW}."
        return "a commit of the repository here. Give a path, a branch, a tag or a commit."

    def _check_out_submodules(self, tree: Path, words: str, name: str) -> None:
        """Check the submodules out, too, where those of the repository here are."""
        if not (tree / ".gitmodules").is_file():
            return
        try:
            here = self._run(("git", "submodule", "status"), Path.cwd())
            if any(line[:1] in {" ", "+", "U"} for line in here.splitlines()):
                self._on_phase(f"{name}: checking out its submodules")
                self._run(("git", "submodule", "--quiet", "update", "--init", "--recursive"), tree)
        except ProgramError as error:
            raise SideError(
                name, f"{name}: the submodules of {words} can't be checked out:\n{error}"
            ) from error

    def drop(self) -> None:
        """Remove the checkouts. What can't be removed stays: it is no reason to lose what was found."""
        for tree in self._trees.absolute().glob("[!.]*"):  # what begins with a dot is no checkout
            try:  # twice: it may have been locked
                self._run(("git", "worktree", "remove", "--force", "--force", str(tree)), Path.cwd())
            except ProgramError:
                shutil.rmtree(tree, ignore_errors=True)
                with suppress(ProgramError):
                    self._run(("git", "worktree", "prune"), Path.cwd())

    def _ready(self, label: str, folder: Path, name: str, like: Source | None) -> Source:
        if not folder.is_dir():
            raise SideError(name, f"{name} ({label}) has no folder {folder.name}: nothing to start")
        if file := find(folder):
            return self._own(label, file, folder, name)
        if like is not None and like.file is not None:
            said = f"{label}, started as {like.file.name} of {like.label} says"
            return self._own(said, like.file, folder, name)
        if not (folder / "reference_agent").is_dir():
            raise InputError(
                f"--{name} {label}: has neither agentrig.toml nor a reference_agent folder: nothing to "
                "start. `agentrig init` writes an agentrig.toml; `--config-from head` starts a base that has "
                "none yet as head's says."
            )
        if self._same_env:
            return Source(label=label, folder=folder, python=Path(sys.executable))
        try:
            environment = self._cache / f"env-{fingerprint(folder)}"
        except OSError as error:
            raise _unreadable(error, name) from error
        python = environment / "bin" / "python"
        if not (environment / ".ready").exists() or _dangle(environment.glob("bin/*")):
            self._on_phase(f"{name}: building its environment (about a minute, once)")
            self._build(environment, folder, name)
        return Source(label=label, folder=folder, python=python)

    def _own(self, label: str, file: Path, folder: Path, name: str) -> Source:
        described = read(file)
        if described.agent.urls:
            raise InputError(f"--{name} {label}: {file.name} has urls: the gate needs a command or an image.")
        if described.agent.setup:
            try:
                self._set_up(described.agent, folder, name)
            except ProgramError as error:
                raise SideError(name, f"{name}: [agent] setup failed in {folder}:\n{error}") from error
            except OSError as error:
                raise _unreadable(error, name) from error
        own = described.under_test(folder, asked_from=file.parent)
        return Source(label=label, folder=folder, python=Path(sys.executable), own=own, file=file)

    def _set_up(self, agent: AgentTable, folder: Path, name: str) -> None:
        """Run what builds an agent's environment; once for each content of the files that it needs.

        Raises:
            ProgramError: it failed.
            OSError: a file that it needs is not there, or no regular one.
        """
        command = " ".join(agent.setup)
        if not agent.setup_needs:
            self._on_phase(f"{name}: {command}")
            self._run(agent.setup, folder)
            return
        digest = hashlib.sha256("\0".join((sys.version, *agent.setup)).encode())
        for need in agent.setup_needs:
            digest.update(f"\0{need}\0".encode() + read_bytes(folder / need))
        made = self._cache / f"setup-{digest.hexdigest()[:16]}"
        if not (ready := made.with_suffix(".ready")).exists() or _dangle(made.glob("*/bin/*")):
            self._on_phase(f"{name}: {command} (once for these {', '.join(agent.setup_needs)})")
            shutil.rmtree(made, ignore_errors=True)
            for need in agent.setup_needs:
                (made / need).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / need, made / need)
            self._run(agent.setup, made)
            ready.touch()
        given = {PurePosixPath(need).parts[0] for need in agent.setup_needs}
        for entry in made.iterdir():
            if entry.name not in given and not _link(folder / entry.name, entry):
                self._on_phase(f"{name}: {entry.name} is there already, and is used as it is")

    def _build(self, environment: Path, folder: Path, name: str) -> None:
        constraints = folder / "constraints.txt"
        pinned = ("--constraint", str(constraints)) if constraints.exists() else ()
        python = str(environment / "bin" / "python")
        steps = (
            (sys.executable, "-P", "-m", "venv", "--clear", str(environment)),
            (python, "-P", "-m", "pip", "install", "--quiet", f"{folder}[{EXTRA}]", *pinned),
        )
        environment.parent.mkdir(parents=True, exist_ok=True)
        for step in steps:
            try:
                self._run(step, folder)
            except ProgramError as error:
                raise SideError(
                    name, f"{name}: its environment can't be built: {' '.join(step[2:5])} failed:\n{error}"
                ) from error
        (environment / ".ready").touch()


def is_shallow(run: Runner) -> bool:
    """Return whether the clone here lacks the older commits."""
    try:
        return run(("git", "rev-parse", "--is-shallow-repository"), Path.cwd()).strip() == "true"
    except ProgramError:
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # its name is longer than any may be
        return False


def _dangle(programs: Iterable[Path]) -> bool:
    """Return whether a program of an environment leads nowhere: its interpreter has gone."""
    return any(each.is_symlink() and not each.exists() for each in programs)


def _unreadable(error: OSError, name: str) -> SideError:
    return SideError(name, f"{name}: {error.filename}: cannot be used: {error.strerror}")


def _link(link: Path, made: Path) -> bool:
    """Link what a setup made, in place of what it made before; False where something else is, which stays."""
    if link.is_symlink() and link.readlink().parent.parent == made.parent.parent:
        link.unlink()
    if link.exists():
        return False
    link.symlink_to(made)
    return True


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
    """Name an environment by what decides on its content: Python, and the files that list dependencies.

    Raises:
        OSError: one of these is there and can't be read, or is no regular file.
    """
    digest = hashlib.sha256(sys.version.encode())
    for name in DEPENDENCIES:
        file = folder / name
        digest.update(read_bytes(file) if file.exists() else b"-")
    return digest.hexdigest()[:16]


def default_cache() -> Path:
    """Return where environments are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "agentrig" / "gate"
