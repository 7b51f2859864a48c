"""Sees to it that nothing outlives this process, however it ends: no process of it, no scratch folder.

A process-wide list, for it has to hold wherever something is started. It watches within `nothing_left` alone,
where the command is called: what uses the harness as a library has its own ways.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from harness.errors import StartError
from harness.outside.files import lock
from harness.process import leftovers
from harness.process.uninterrupted import uninterrupted
from harness.records.up_state import state_folder


class _Guard:
    """The record of this process, see `leftovers`, and the program that waits for its end."""

    def __init__(self) -> None:
        self.mark = ""
        self._folder: Path | None = None
        self._record: BinaryIO | None = None
        self._path = Path()
        self._waiting: subprocess.Popen[bytes] | None = None

    def begin(self, folder: Path) -> None:
        self._folder = folder

    def watch(self) -> None:
        """Begin to watch, where that was asked for: with the first thing that could be left."""
        if self._folder is not None:
            with uninterrupted():
                folder, self._folder = self._folder, None
                self._open(folder)

    def note(self, kind: str, value: str | int | list[str]) -> None:
        self.watch()
        if self._record is not None:
            with suppress(OSError):  # a disk that is full: what is marked is found all the same
                self._record.write(json.dumps({kind: value}).encode() + b"\n")

    def end(self) -> None:
        self._folder = None
        if self._record is None:
            return
        if self._waiting is not None:
            self._waiting.kill()
            self._waiting.wait()
        leftovers.clean(self._path, its_sessions=True)
        self._record.close()
        self._record, self.mark = None, ""

    def _open(self, folder: Path) -> None:
        """Make the record, after those of others were looked at; go without where none can be."""
        mark = f"agentrig-{os.getpid()}-{secrets.token_hex(8)}"
        aside, path = folder / f"{mark}.part", folder / f"{mark}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            leftovers.clean_all(folder)
            record = aside.open("xb", buffering=0)
            lock(record.fileno())  # before anybody sees it
            record.write(json.dumps({"mark": mark}).encode() + b"\n")
            aside.rename(path)
        except OSError:
            with suppress(OSError):
                aside.unlink()
            return
        self.mark, self._record, self._path = mark, record, path
        with suppress(OSError):  # the next start will do it
            self._waiting = subprocess.Popen(
                [sys.executable, "-I", "-S", leftovers.__file__, str(path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )


_GUARD: Final = _Guard()


@contextmanager
def nothing_left() -> Iterator[None]:
    """Have all that is started and covered within the block gone with it, or with this process."""
    _GUARD.begin(state_folder() / "running")
    try:
        yield
    finally:
        _GUARD.end()


def environment() -> dict[str, str]:
    """Return the variables by which a process is known as one of ours; none where nobody watches."""
    _GUARD.watch()
    return {leftovers.MARK: _GUARD.mark} if _GUARD.mark else {}


def started(session: int) -> None:
    """A process was started that leads a session."""
    _GUARD.note("session", session)


def ended(session: int) -> None:
    """All of a session has ended: its number may be given anew."""
    _GUARD.note("no-session", session)


def lodged(socket: str, fleet: str) -> None:
    """A fleet is about to have containers in the engine at a Unix socket, marked by its label."""
    _GUARD.note("fleet", f"{socket} {fleet}")


def moved_out(socket: str, fleet: str) -> None:
    """Nothing of that fleet is in the engine any more."""
    _GUARD.note("no-fleet", f"{socket} {fleet}")


def housed(context: str, config: str, namespace: str) -> None:
    """A fleet is about to have a namespace in a cluster, of a context in a kubeconfig."""
    _GUARD.note("namespace", [context, config, namespace])


def left_home(context: str, config: str, namespace: str) -> None:
    """That namespace has gone."""
    _GUARD.note("no-namespace", [context, config, namespace])


def cover(folder: Path) -> None:
    """Have a folder of scratch files, which is there, removed with this process."""
    folder = folder.absolute()
    _GUARD.note("folder", os.fspath(folder))
    if _GUARD.mark:
        with suppress(OSError):
            folder.joinpath(f".{_GUARD.mark}").touch()


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """Make a temporary folder for this user alone; it is removed with the block or the process.

    Raises:
        StartError: it can't be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"agentrig-{purpose}-"))
    except OSError as error:
        raise StartError(
            f"no temporary folder can be made: {error.strerror or error}. "
            "Make room for one, or say where one may be with TMPDIR."
        ) from error
    try:
        cover(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
