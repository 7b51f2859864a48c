"""The run folder: the files in which a run is kept, and from which it can be judged again.

| file | what it holds |
|---|---|
| `plan.json` | the experiments as they were asked, the run's id and machine, the format of all files |
| `arms.jsonl` | an `ArmFacts` per arm: containers, limits, begin and end, CPU |
| `requests.jsonl` | a `RequestRow` per request: what the client saw |
| `spans.jsonl` | OTLP/JSON, one `{"resourceSpans": [...]}` a line |
| `journal.jsonl` | a `JournalRow` per model call that the simulator received |
| `metrics.jsonl` | a `MetricPoint` per scraped sample |
| `traces.json` | the traces worth a look, as Jaeger's page takes them by upload |
| `verdict.json`, `junit.xml`, `summary.md`, `report.html` | the verdict, four times |
| `logs/` | what each process printed |

`agentrig schema` has the JSON Schema of each of them that is JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.errors import InputError, StartError
from harness.outside.files import FLAGS, lines_of, lock, open_to_append, read_bytes, write_whole
from harness.outside.secrets import hidden, hidden_bytes, hide_in
from harness.outside.text import parse_json
from harness.process.guard import cover
from harness.records.calibration import Calibration
from harness.records.spec import ExperimentSpec
from harness.run.formats import UNSAID, refuse_other_formats, whose_it_is
from harness.simulator_config import Strict

if TYPE_CHECKING:
    from _typeshed import DataclassInstance  # exists for type checkers alone

Row = TypeVar("Row", bound="DataclassInstance")

PLAN = "plan.json"
ARMS = "arms.jsonl"
REQUESTS = "requests.jsonl"
SPANS = "spans.jsonl"
JOURNAL = "journal.jsonl"
METRICS = "metrics.jsonl"
LOGS, WORK = "logs", "work"
LINE_END = b"\n"


class Plan(Strict):
    """What was asked: the content of `plan.json`.

    Attributes:
        run_id: names the run.
        started_s: Unix seconds.
        quick: whether `--quick` was given.
        format: of the folder's files: see `run/formats.py`.
        version: of agentrig; `code` is more exact: see `run/code.py`.
        machine: platform, Python and cores.
        calibration: what a request cost on it before the run; None where that was not measured.
        jaeger_url: address of the Jaeger page that has the traces, where there is one.
        salt: in the names of sessions and the canary words; `agentrig run --salt` says them again.
        on: where the containers ran: `local` for processes of this machine, `docker` for those of an engine,
            `kubernetes` for pods.
        experiments: in the order they run, as they run: quickened when `quick`, and fitted to the machine.
    """

    run_id: str
    started_s: float
    quick: bool
    format: int = UNSAID
    version: str
    code: str = ""
    machine: Mapping[str, str | int | float]
    calibration: Calibration | None = None
    jaeger_url: str | None = None
    salt: str = ""
    on: str = "local"
    experiments: tuple[ExperimentSpec, ...]


class RunFolder:
    """One run's files.

    Args:
        path: the folder; `create` or `open` make one with checks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out: list[str] = []
        """What could not be read of its files so far, a sentence each."""

    @classmethod
    def create(cls, path: Path | None, run_id: str) -> RunFolder:
        """Make the folder of a new run, `runs/<run_id>` when no path is given.

        Raises:
            InputError: it holds a run already, or another is at work in it.
            StartError: it cannot be made or written to.
        """
        folder = cls(path or Path("runs") / run_id)
        with _writable(folder.path):
            folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            weakref.finalize(folder, os.close, _hold(folder.path))
        if (
            folder.path / PLAN
        ).exists():  # looked at after it is held: of two that begin at once, one goes on
            raise InputError(
                f"{folder.path}: holds a run already. Give another --out, or delete that folder."
            )
        for name in (LOGS, WORK):
            if (folder.path / name).is_symlink():
                raise InputError(
                    f"{folder.path / name}: is a link: what is written there is elsewhere. Remove it."
                )
        with _writable(folder.path):
            (folder.path / LOGS).mkdir(exist_ok=True, mode=0o700)
            tempfile.TemporaryFile(dir=folder.path).close()  # without a name: none of another's is touched
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open the folder of a saved run.

        Raises:
            InputError: there is no run in it.
        """
        try:
            there = (path / PLAN).is_file()
        except (OSError, ValueError) as error:  # the name is too long, or holds a NUL
            raise InputError(f"{path}: cannot be read: {error}. Give a run folder.") from error
        if not there:
            raise InputError(
                f"{path}: is not a run folder: it has no {PLAN}. Give a folder that `agentrig run` wrote."
            )
        return cls(path)

    # --- writing -----------------------------------------------------------------------
    def write(self, name: str, text: str) -> Path:
        """Write a whole file at once, so that a reader sees the old one or the new one."""
        target = self.path / name
        with _writable(target):
            write_whole(target, hidden(text).encode())
        return target

    def write_plan(self, plan: Plan) -> None:
        """Write `plan.json`."""
        self.write(PLAN, plan.model_dump_json(indent=2) + "\n")

    def append(self, name: str, lines: Iterable[str]) -> None:
        """Append lines of JSON to one of the `.jsonl` files."""
        with _writable(self.path / name), open_to_append(self.path / name) as file:
            file.writelines(hidden(line).encode() + LINE_END for line in lines)

    def append_rows(self, name: str, rows: Iterable[DataclassInstance]) -> None:
        """Append records to one of the `.jsonl` files."""
        self.append(name, (json.dumps(dataclasses.asdict(row), separators=(",", ":")) for row in rows))

    def sizes(self) -> dict[str, int]:
        """Return how long the `.jsonl` files are, in bytes, for `shorten`."""
        return {file.name: file.stat().st_size for file in self.path.glob("*.jsonl")}

    def shorten(self, sizes: Mapping[str, int]) -> None:
        """Take off what was appended to the `.jsonl` files since they were as long as `sizes` says."""
        for name in self.sizes():
            with _writable(self.path / name):
                os.truncate(self.path / name, sizes.get(name, 0))

    def logs(self, experiment: str, arm: str) -> Path:
        """Return the folder for the logs of one arm's processes."""
        return self.path / LOGS / experiment / arm

    def work(self, experiment: str, arm: str) -> Path:
        """Make and return a scratch folder for one arm; `clear_work` removes it."""
        folder = self.path / WORK / experiment / arm
        folder.mkdir(parents=True, exist_ok=True)
        cover(self.path / WORK)  # it holds sessions: they shall not stay where this process is killed
        return folder

    def clear_work(self) -> None:
        """Remove the scratch folders, and secrets that processes printed into their logs."""
        shutil.rmtree(self.path / WORK, ignore_errors=True)
        hide_in(self.path / LOGS)

    # --- reading -----------------------------------------------------------------------
    def plan(self) -> Plan:
        """Read `plan.json`.

        Raises:
            InputError: it is damaged, or of another version.
        """
        file = self.path / PLAN
        try:
            text = read_bytes(file)
        except OSError as error:
            raise InputError(f"{file}: cannot be read: {error.strerror}.") from error
        refuse_other_formats(text, file)
        try:
            return Plan.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            said = f"{file}: {key or 'whole file'}: {first['msg']}{whose_it_is(text)}"
            raise InputError(said) from error

    def lines(self, name: str) -> Iterator[str]:
        """Yield the lines of a `.jsonl` file; none when it isn't there, and none that was cut off.

        Raises:
            InputError: the file can't be read, or a line is no UTF-8.
        """
        file = self.path / name
        for number, line in _numbered_lines(file):
            try:
                text = line.decode()
                if not line.endswith(LINE_END):
                    parse_json(text)
            except ValueError as error:
                if not line.endswith(LINE_END):
                    self.left_out.append(_cut_off(file, number))
                    return
                raise InputError(f"{file}:{number}: is not UTF-8 text: {error}") from error
            yield text

    def rows(self, name: str, kind: type[Row]) -> tuple[Row, ...]:
        """Read the records of a `.jsonl` file; one that was cut off at its end is left out.

        Raises:
            InputError: a line is damaged; the message names file, line and key.
        """
        return tuple(read_rows(self.path / name, kind, left_out=self.left_out))


def read_rows(
    file: Path, kind: type[Row], *, from_byte: int = 0, left_out: list[str] | None = None
) -> Iterator[Row]:
    """Yield the records of a file of JSON lines; none when it isn't there, and none that was cut off.

    Args:
        file: where they are.
        kind: what they are.
        from_byte: where to begin: the begin of a line.
        left_out: gets a sentence when the last line was cut off.

    Raises:
        InputError: the file can't be read, or a line is damaged; the message names file, line (from where it
            began) and key.
    """
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    for number, line in _numbered_lines(file, from_byte):
        try:
            yield adapter.validate_json(hidden_bytes(line))
        except ValidationError as error:
            if not line.endswith(LINE_END):  # whoever wrote it was killed, or its disk was full
                if left_out is not None:
                    left_out.append(_cut_off(file, number))
                return
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{file}:{number}: {key or 'line'}: {first['msg']}") from error


def _numbered_lines(file: Path, from_byte: int = 0) -> Iterator[tuple[int, bytes]]:
    try:
        yield from enumerate(lines_of(file, from_byte), start=1)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}.") from error


def _cut_off(file: Path, number: int) -> str:
    return f"{file}:{number}: is cut off, and left out: what wrote it ended before it was done."


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a folder of run folders, and make it: a second run in it would delete what the first is writing.

    The hold ends with this process, however it ends.

    Raises:
        InputError: another process holds it.
        StartError: it cannot be made or written to.
    """
    with _writable(path):
        path.mkdir(parents=True, exist_ok=True)
        handle = _hold(path)
    try:
        yield
    finally:
        os.close(handle)


def _hold(path: Path) -> int:
    """Lock a folder; return the handle that holds it as long as it is open."""
    handle = os.open(path, os.O_RDONLY | FLAGS["O_DIRECTORY"] | FLAGS["O_CLOEXEC"])
    try:
        lock(handle)
    except BlockingIOError as error:
        os.close(handle)
        raise InputError(
            f"{path}: another run is at work in it. Wait for that one, or give another --out."
        ) from error
    except OSError:  # a disk without locks
        pass
    return handle


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Tell of a folder that cannot be made or written to."""
    try:
        yield
    except OSError as error:
        raise StartError(
            f"{path}: cannot be written to: {error.strerror}. Give a writable folder with --out."
        ) from error


def new_run_id(now_s: float, salt: str) -> str:
    """Name a run by its time and a few characters that keep two of one second apart."""
    return f"{datetime.fromtimestamp(now_s, UTC):%Y%m%d-%H%M%S}-{salt}"
