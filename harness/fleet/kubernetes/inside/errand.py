"""What runs in the pod of a bench: one command of agentrig, whose run folder is packed once it has ended.

`python -m` with the run folder and the words of the command. What the command tells goes on, line by line.
Beside it there are lines of its own, each with the name of the pod's namespace, which no agent knows: that it
began, that it is there still, and how it ended. Then it waits until somebody has fetched the folder, who
removes the pod; when nobody comes, it removes the namespace itself.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, Final, Protocol

from harness import __version__
from harness.clock import Clock, SystemClock
from harness.errors import AgentrigError
from harness.fleet.kubernetes.inside.parcel import pack
from harness.fleet.kubernetes.kubeconfig import connect
from harness.fleet.kubernetes.namespace import OWNER
from harness.fleet.kubernetes.removal import ask_own_to_go
from harness.records.up_state import state_folder

ROOM: Final = "/bench"
"""Where the command runs; its run folder is below."""
GIVEN: Final = "/given"
"""Where it finds the files that it was given."""
PACKED: Final = f"{ROOM}/.packed"
"""The run folder, once it is packed."""
BEAT_S: Final = 5.0
"""Between two signs of life: what is silent for much longer is a connection that was lost."""
POLL_S: Final = 0.1
HELD_S: Final = 15 * 60.0
"""How long a folder is held for whoever was cut off meanwhile."""
HANDED_OVER_S: Final = 60.0
"""The same of a pod that was asked to end."""
LAST_WORDS_S: Final = 5.0
"""How long what an ended command said may take to be passed on: another may hold its stream open."""
BEGUN, ALIVE, ENDED = "begun", "alive", "ended"
TRACES: Final = "crash-*.txt"
"""Of faults of our own, below the folder of the state: they are told of by their path."""


def sign(mark: str, kind: str, **facts: object) -> str:
    """Return a line that tells something to who follows; `mark` says that it is no command's."""
    return f"{mark} {json.dumps({kind: facts})}"


def signed(mark: str, line: str) -> tuple[str, dict[str, Any]] | None:
    """Return what such a line tells, None of any other."""
    if not line.startswith(f"{mark} {{"):
        return None
    try:
        ((kind, facts),) = json.loads(line.removeprefix(mark)).items()
        return str(kind), dict(facts)
    except (ValueError, TypeError, AttributeError):
        return None


class Command(Protocol):
    """A process."""

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        ...

    def terminate(self) -> None:
        """Ask it to end."""
        ...


class Errand:
    """One command, from its start until nobody needs what it left any more.

    Args:
        mark: see `sign`.
        folder: the run folder.
        packed: gets it.
        state: where the command keeps what outlasts it.
        say: prints a line.
        asked: says whether the pod is to end.
        clock: for waiting.
    """

    def __init__(
        self,
        mark: str,
        folder: Path,
        packed: Path,
        state: Path,
        *,
        say: Callable[[str], None],
        asked: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._mark = mark
        self._folder = folder
        self._packed = packed
        self._state = state
        self._say = say
        self._asked = asked
        self._clock = clock
        self._beaten_s = clock.monotonic()

    def run(self, command: Command) -> int:
        """Wait for the end of a command, and pack its folder; return its exit status."""
        self._say(sign(self._mark, BEGUN, version=__version__))
        told = False
        while (status := command.poll()) is None:
            if self._asked() and not told:
                told = True
                command.terminate()
            self._wait()
        self._folder.mkdir(parents=True, exist_ok=True)
        for trace in self._state.glob(TRACES):
            shutil.move(trace, self._folder / trace.name)
        parcel = pack(self._folder, self._packed, self._beat)
        self._say(sign(self._mark, ENDED, status=status, asked=told, parcel=asdict(parcel)))
        return status

    def hold(self) -> bool:
        """Wait until the folder was fetched, or the pod is removed; return whether nobody has come."""
        asked = self._asked()
        until_s = self._clock.monotonic() + (HANDED_OVER_S if asked else HELD_S)
        while self._clock.monotonic() < until_s:
            if not self._packed.exists() or (self._asked() and not asked):
                return False
            self._wait()
        return not asked

    def _wait(self) -> None:
        self._clock.sleep(POLL_S)
        self._beat()

    def _beat(self) -> None:
        if self._clock.monotonic() - self._beaten_s >= BEAT_S:
            self._beaten_s = self._clock.monotonic()
            self._say(sign(self._mark, ALIVE))


class Process:
    """The command as a process, whose lines are passed on.

    Args:
        words: of it.
        say: prints a line.
    """

    def __init__(self, words: Sequence[str], say: Callable[[str], None]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "harness", *words],
            cwd=ROOM,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # the verdict, which is in the folder as well
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
        )
        self._say = say
        self._telling = threading.Thread(target=self._tell, daemon=True)
        self._telling.start()

    def poll(self) -> int | None:
        """Return its exit status once all is passed on that it said, None before."""
        status = self._process.poll()
        if status is not None:
            self._telling.join(LAST_WORDS_S)
        return status

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def _tell(self) -> None:
        for line in self._process.stderr or ():
            self._say(line.rstrip("\n"))


def main(folder: str, *words: str) -> int:
    """Run a command of agentrig that has a run folder; return its exit status."""
    os.umask(0o077)
    asked = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    whole = threading.Lock()

    def say(line: str) -> None:
        with whole:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    namespace = os.environ[OWNER].partition("/")[0]
    clock = SystemClock()
    errand = Errand(
        namespace,
        Path(ROOM, folder),
        Path(PACKED),
        state_folder(),
        say=say,
        asked=asked.is_set,
        clock=clock,
    )
    status = errand.run(Process(words, say))
    if errand.hold():
        say("nobody came for the run folder: the namespace is removed")
        try:
            ask_own_to_go(connect("", clock), namespace)
        except AgentrigError as error:
            say(str(error))
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
