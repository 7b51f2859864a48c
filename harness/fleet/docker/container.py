"""One container of an engine, as what a fleet starts, watches and ends."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from harness.clock import Clock
from harness.errors import ChildDiedError, Death, StartError
from harness.fleet.docker.engine import IN_USE, NOT_THERE, EngineError
from harness.fleet.docker.place import MIB, Place
from harness.fleet.images import SHARED
from harness.outside.secrets import hidden
from harness.process.child import STILL_S

POLL_S: Final = 0.05
LAST_LINES: Final = 32
KILLED_FROM: Final = 128
"""An exit status above that is the number of a signal, so much higher."""
NO_MATTER: Final = (NOT_THERE, IN_USE)
"""It does not run, or is there no more: then there is nothing to signal, or to remove."""


class EngineContainer:
    """A container; `Child` is the same for a process.

    Args:
        name: in the fleet, such as `agent-1`.
        env: its environment, beside what its image says.
        place: where it is made.
        log: gets what it printed, once it has ended.
        shared: a folder of this machine that all containers find under `SHARED`.
        memory_mb: it may have, in MiB.
        cpus: it may keep busy, None for as many as there are.
        clock: for waiting.

    Attributes:
        address: its IP address in the fleet's network, once it is started.
    """

    def __init__(
        self,
        name: str,
        env: Mapping[str, str],
        place: Place,
        *,
        log: Path,
        shared: Path,
        memory_mb: int,
        cpus: float | None,
        clock: Clock,
    ) -> None:
        self.name = name
        self.log = log
        self.address = ""
        self._env = env
        self._place = place
        self._shared = shared
        self._memory_mb = memory_mb
        self._cpus = cpus
        self._clock = clock
        self._id = ""
        self._death: Death | None = None
        self._usage = (0.0, 0.0)
        self._still_since_s: float | None = None
        self._asked = self._frozen = self._removed = False

    def start(self) -> None:
        """Start it.

        Raises:
            EngineError: the engine does not answer, or refuses.
        """
        self._id, self.address = self._place.create(
            self.name,
            self._env,
            memory_mb=self._memory_mb,
            cpus=self._cpus,
            shared=self._shared,
            at=SHARED,
        )
        self._call("POST", "start")

    def poll(self) -> Death | None:
        """Return how it ended, None while it runs.

        Raises:
            EngineError: the engine does not answer.
        """
        if self._death is None and self._id and not self._removed and not self._place.runs(self._id):
            self._death = self._end()
        return self._death

    def check(self, still_s: float = STILL_S) -> None:
        """Raise when it has ended, or stands still.

        Args:
            still_s: for how long it may, in seconds, when somebody else has paused it.

        Raises:
            ChildDiedError: with its exit status, last lines and log.
            EngineError: the engine does not answer.
            StartError: it stands still.
        """
        if death := self.poll():
            raise ChildDiedError(death)
        if self._frozen or self._removed or not self._id or not self._place.paused(self._id):
            self._still_since_s = None
            return
        now_s = self._clock.monotonic()
        if self._still_since_s is None:
            self._still_since_s = now_s
        if now_s - self._still_since_s >= still_s:
            raise StartError(
                f"{self.name} stands still: somebody paused its container, and nobody let it go on while it "
                "was needed. Run it again."
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal, SIGSTOP and SIGCONT by the engine's own means; nothing when it isn't running.

        Raises:
            EngineError: the engine does not answer, or refuses.
        """
        if not self._id or self._death is not None or self._removed:
            return
        if number is signal.SIGSTOP:
            self._call("POST", "pause", unless=NO_MATTER)
            self._frozen = True
        elif number is signal.SIGCONT:
            if self._frozen:
                self._call("POST", "unpause", unless=NO_MATTER)
            self._frozen = False
        else:
            self._signal(number.name)

    def ask_to_stop(self) -> None:
        """Send what its image wants to end by, once, and return at once."""
        if not self._asked and self._id and self._death is None:
            self._asked = True
            self.usage()
            self._signal(self._place.stop_signal)
            self.send(signal.SIGCONT)  # one that stands still would not notice

    def stop(self, grace_s: float) -> None:
        """Let it end, keep what it printed, and remove it: by force when it hasn't after `grace_s`.

        Raises:
            EngineError: the engine does not answer, or refuses.
        """
        if not self._id or self._removed:
            return
        try:
            self.ask_to_stop()
            deadline_s = self._clock.monotonic() + grace_s
            while self.poll() is None and self._clock.monotonic() < deadline_s:
                self._clock.sleep(POLL_S)
        finally:
            self._keep_log()
            params = {"force": "true", "v": "true"}
            self._place.engine.call("DELETE", f"/containers/{self._id}", params=params, unless=NO_MATTER)
            self._removed = True

    def usage(self) -> tuple[float, float]:
        """Return CPU seconds and resident MiB by the engine's count; the last known once it ended."""
        if self._id and self._death is None and not self._removed:
            told = self._stats()
            cpu_s = told.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage", 0) / 1e9
            # Of one that has just ended it tells nothing, or less.
            self._usage = (max(self._usage[0], cpu_s), _memory(told) / MIB or self._usage[1])
        return self._usage

    def held(self) -> Mapping[str, float]:
        """Return the memory and the threads that it has."""
        told = self._stats()
        return {"memory": _memory(told), "threads": float(told.get("pids_stats", {}).get("current", 0))}

    def last_lines(self) -> tuple[str, ...]:
        """Return the end of what it printed, at most 32 lines."""
        if self._id and not self._removed:
            with suppress(EngineError):
                return tuple(hidden(self._place.engine.log(self._id, str(LAST_LINES))).splitlines())
        with suppress(OSError):
            return tuple(self.log.read_text("utf-8", "replace").splitlines()[-LAST_LINES:])
        return ()

    def listening(self) -> tuple[int, ...]:
        """Return the TCP ports that are listened on within it, on whichever address."""
        with suppress(EngineError, OSError, ValueError):
            pid = self._place.inspect(self._id)["State"]["Pid"]
            rows = [
                line.split()
                for table in ("tcp", "tcp6")
                for line in Path(f"/proc/{pid}/net/{table}").read_text("ascii").splitlines()[1:]
            ]
            return tuple(sorted({int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTENS}))
        return ()

    # --- how it is asked ---------------------------------------------------------------
    def _call(self, method: str, what: str, **given: Any) -> Any:
        return self._place.engine.call(method, f"/containers/{self._id}/{what}", **given)

    def _signal(self, name: str) -> None:
        self._call("POST", "kill", params={"signal": name}, unless=NO_MATTER)

    def _stats(self) -> dict[str, Any]:
        params = {"stream": "false", "one-shot": "true"}
        return self._call("GET", "stats", params=params, unless=NO_MATTER) or {}

    def _end(self) -> Death:
        """Return how it ended, of one that has."""
        state = self._place.inspect(self._id)["State"]
        code, lines = int(state.get("ExitCode", 0)), self.last_lines()
        if state.get("OOMKilled"):
            lines = (*lines, f"(the kernel ended it: over its memory limit of {self._memory_mb} MiB)")
        if state.get("Error"):
            lines = (*lines, f"(the engine: {state['Error']})")
        status = KILLED_FROM - code if code > KILLED_FROM else code
        return Death(name=self.name, status=status, last_lines=lines[-LAST_LINES:], log=self.log)

    def _keep_log(self) -> None:
        with suppress(OSError, EngineError):  # a full disk: the rest goes on
            text = hidden(self._place.engine.log(self._id))
            self.log.parent.mkdir(parents=True, exist_ok=True)
            self.log.write_text(text, "utf-8", "replace")


LISTENS: Final = "0A"
"""The state of a socket in the kernel's table that listens."""


def _memory(told: Mapping[str, Any]) -> float:
    """Return the memory of a container in bytes, without the pages of files that it could give back."""
    memory = told.get("memory_stats") or {}
    stats = memory.get("stats") or {}
    cache = stats.get("total_inactive_file", stats.get("inactive_file", 0))
    return float(max(0, memory.get("usage", 0) - cache))
