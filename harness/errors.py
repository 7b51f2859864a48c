"""What can go wrong, and the exit code each kind of trouble has.

Every message says what happened, where, and what to do next; the command line
prints it as it is, without a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """Exit codes of the `agentrig` command."""

    HELD = 0
    """Every check held, and every control arm was caught."""
    FELL_SHORT = 1
    """At least one check fell short."""
    UNKNOWN = 2
    """No data, too few samples, or the harness was the bottleneck: never green."""
    BAD_INPUT = 3
    """The words or the file given are wrong."""
    NOT_STARTED = 4
    """Something could not be started, or died while it ran."""
    OWN_FAULT = 5
    """agentrig itself failed: a bug, which says nothing of what was checked."""
    INTERRUPTED = 130
    """Ctrl-C, or SIGTERM."""


class AgentrigError(Exception):
    """A failure with a message made for the person at the terminal."""

    exit_code = ExitCode.NOT_STARTED


class InputError(AgentrigError):
    """A name, option, file, key or value that was given is wrong."""

    exit_code = ExitCode.BAD_INPUT


class StartError(AgentrigError):
    """A process, port or folder that a run needs could not be had."""


class NotLoadedError(StartError):
    """A part of agentrig could not be imported."""

    def __init__(self, error: Exception) -> None:
        """Say what was raised by the import: without memory or a whole installation it may be anything."""
        super().__init__(
            f"its parts can't be loaded: {type(error).__name__}: {error}. "
            "There is too little memory for them, or they are not all installed."
        )


@dataclass(frozen=True, slots=True)
class Death:
    """How a child process ended without being asked to.

    Attributes:
        name: the process's name in the fleet, such as `agent-2`.
        status: its exit status; negative is the number of the signal that killed it.
        last_lines: the end of its log, at most 32 lines.
        log: where the whole log is.
        why: how it ended in words, where no status tells; empty where one does.
    """

    name: str
    status: int
    last_lines: tuple[str, ...]
    log: Path
    why: str = ""


def quote(lines: Iterable[str]) -> str:
    """Return what a process printed, as a message shows it."""
    return "\n".join(f"  | {line}" for line in lines) or "  | (it printed nothing)"


class ChildDiedError(StartError):
    """A process of the fleet, or the load, ended while it was needed."""

    def __init__(self, death: Death) -> None:
        """Tell of `death`: name, status, last lines, and where the log is."""
        self.death = death
        how = death.why or (
            f"was killed by signal {-death.status}"
            if death.status < 0
            else f"ended with exit status {death.status}"
        )
        super().__init__(
            f"{death.name} {how} while it was needed. Its last lines:\n{quote(death.last_lines)}\n"
            f"The whole log: {death.log}"
        )
