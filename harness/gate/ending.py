"""How a gate ended, for programs: `outcome.json`, beside `summary.md` at whichever end it comes to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from harness import __version__
from harness.errors import AgentrigError, ExitCode, InputError, StartError
from harness.gate.comment import MOST_TITLE, failure_title, of_failure, title
from harness.gate.decide import GateDecision, GateVerdict
from harness.outside.files import read_bytes, write_whole
from harness.outside.secrets import beginning, hidden
from harness.run.formats import FORMAT, refuse_other_formats

OUTCOME: Final = "outcome.json"
SUMMARY: Final = "summary.md"
EXITS: Final = {GateVerdict.PASS: ExitCode.HELD, GateVerdict.FAIL: ExitCode.FELL_SHORT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a gate ended.

    Attributes:
        exit_code: of the command.
        title: the verdict, or why there is none, in one line.
        reasons: a sentence each, the gravest first.
        side: whose doing it is that there is no verdict, `base` or `head`, where that is known.
        format: of the file: see `run/formats.py`.
    """

    exit_code: int
    title: str
    reasons: tuple[str, ...] = ()
    side: str | None = None
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """Write it into a folder.

        Raises:
            StartError: it can't be written.
        """
        write_text(folder / OUTCOME, json.dumps(asdict(self), indent=2) + "\n")


class SideError(StartError):
    """A side of the gate could not be made ready, or died: says which.

    Args:
        side: `base` or `head`.
        said: what happened, and to which version.
    """

    def __init__(self, side: str, said: str) -> None:
        """Tell of a side."""
        self.side = side
        super().__init__(said)


def of_decision(decision: GateDecision) -> Ending:
    """Return how a gate ends that came to a decision."""
    return Ending(
        exit_code=EXITS.get(decision.verdict, ExitCode.UNKNOWN),
        title=title(decision),
        reasons=decision.reasons,
    )


def read_ending(folder: Path) -> Ending:
    """Read how a gate ended.

    Raises:
        InputError: the folder doesn't say, or in a format that is not read here.
    """
    try:
        text = read_bytes(folder / OUTCOME)
        refuse_other_formats(text, folder / OUTCOME)
        ending: Ending = TypeAdapter(Ending).validate_json(text)
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{folder}: no {OUTCOME} can be read. `agentrig gate --out {folder}` writes it at each end."
        ) from error
    return ending


@contextmanager
def told_at_every_end(folder: Path, again: str) -> Iterator[None]:
    """Write what a pull request is told where an error or an interrupt ends the block.

    Args:
        folder: of the gate's run; it is made where it is not there yet, and one that holds something already
            is left as it is.
        again: the command that does the same.
    """
    was_there = folder.is_dir() and any(folder.iterdir())
    try:
        yield
    except BaseException as error:
        if not was_there:
            with suppress(AgentrigError, OSError):  # why it ended is what counts
                _write_failure(folder, error, again)
        raise


def _write_failure(folder: Path, error: BaseException, again: str) -> None:
    side = error.side if isinstance(error, SideError) else None
    if isinstance(error, AgentrigError):
        code, message = error.exit_code, str(error)
    elif isinstance(error, KeyboardInterrupt):
        code, message = ExitCode.INTERRUPTED, "it was interrupted"
    else:
        code, message = ExitCode.OWN_FAULT, f"{type(error).__name__}: {error}"
    folder.mkdir(parents=True, exist_ok=True)
    ending = Ending(
        exit_code=code,
        title=failure_title(message, code, side),
        reasons=tuple(beginning(line, MOST_TITLE) for line in message.strip().splitlines()[:1]),
        side=side,
    )
    ending.write(folder)
    write_text(folder / SUMMARY, of_failure(message, code, side=side, again=again, version=__version__))


def write_text(file: Path, text: str) -> None:
    """Write a file at once, secrets hidden.

    Raises:
        StartError: it can't be written.
    """
    try:
        write_whole(file, hidden(text).encode())
    except OSError as error:
        raise StartError(f"{file}: cannot be written to: {error.strerror}") from error
