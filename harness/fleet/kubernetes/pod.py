"""One pod, as what a fleet starts, watches and ends."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from harness.clock import Clock
from harness.errors import ChildDiedError, Death, StartError
from harness.fleet.images import PORT
from harness.fleet.kubernetes.api import PATIENCE_S, PAUSE_S, ClusterError
from harness.fleet.kubernetes.heard import Heard
from harness.fleet.kubernetes.place import Place
from harness.fleet.kubernetes.state import PodState
from harness.outside.secrets import hidden
from harness.process.child import STILL_S

POLL_S: Final = 0.05
LAST_LINES: Final = 32
KILLED_FROM: Final = 128
"""An exit status above that is the number of a signal, so much higher."""
TAIL_BYTES: Final = 32 * 1024
GONE: Final = "was deleted by somebody, or evicted by its node,"
UNTOLD: Final = "ended, the cluster does not tell how,"
PREFIX: Final = "SIG"


class Pod:
    """A pod of one agent; `Child` is the same for a process.

    Args:
        name: in the fleet, such as `agent-1`.
        env: its environment, beside what its image says.
        place: where it is made.
        log: gets what it prints.
        memory_mb: it may have, in MiB.
        cpus: it may keep busy, None for as many as there are.
        clock: for waiting.
    """

    def __init__(
        self,
        name: str,
        env: Mapping[str, str],
        place: Place,
        *,
        log: Path,
        memory_mb: int,
        cpus: float | None,
        clock: Clock,
    ) -> None:
        self.name = name
        self.log = log
        self._env = env
        self._place = place
        self._memory_mb = memory_mb
        self._cpus = cpus
        self._clock = clock
        self._made_s: float | None = None
        self._death: Death | None = None
        self._heard: Heard | None = None
        self._asked = self._frozen = self._removed = False
        self._address = ""

    def start(self) -> None:
        """Make it.

        Raises:
            ClusterError: the cluster does not answer, or refuses.
        """
        self._place.create(self.name, self._env, memory_mb=self._memory_mb, cpus=self._cpus)
        self._made_s = self._clock.monotonic()

    @property
    def address(self) -> str:
        """`host:port`, once the cluster has given it one; empty before.

        Raises:
            ClusterError: the cluster does not answer.
        """
        if not self._address and (found := self._state()) is not None and found.address:
            self._place.examine(self.name, found)
            self._address = f"{found.address}:{PORT}"
        return self._address

    def poll(self) -> Death | None:
        """Return how it ended, None while it has not.

        Raises:
            ClusterError: the cluster has not told for too long.
            StartError: it cannot start.
        """
        if self._death is not None or self._made_s is None or self._removed:
            return self._death
        found = self._state()
        if found is None:
            self._death = self._end(None)
        elif found.ended is not None:
            self._listen()
            self._death = self._end(found)
        elif found.leaves and not self._asked:  # what it does not answer from here on is not its fault
            self._death = self._end(None)
        elif found.running:
            self._place.examine(self.name, found)
            self._listen()
        elif not self._asked:
            found.require_progress(self._clock.monotonic() - self._made_s)
        return self._death

    def check(self, still_s: float = STILL_S) -> None:
        """Raise when it has ended; that somebody else stopped its processes is not seen from here.

        Raises:
            ChildDiedError: with its exit status, last lines and log.
            ClusterError: the cluster has not told for too long.
            StartError: it cannot start.
        """
        del still_s
        if death := self.poll():
            raise ChildDiedError(death)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all that runs in it; nothing when nothing does.

        Raises:
            ClusterError: the cluster does not do it.
        """
        if self._made_s is None or self._death is not None or self._removed:
            return
        if number is signal.SIGCONT and not self._frozen:
            return
        deadline_s = self._clock.monotonic() + PATIENCE_S
        while True:
            try:
                self._place.signal(self.name, number.name.removeprefix(PREFIX))
            except ClusterError as error:
                if self.poll() is not None:  # what has ended meanwhile needs no signal
                    break
                if not error.passes or self._clock.monotonic() >= deadline_s:
                    raise
                self._clock.sleep(PAUSE_S)
            else:
                break
        self._frozen = number is signal.SIGSTOP

    def ask_to_stop(self) -> None:
        """Delete it, once, and return at once: it gets the signal to end, and its time for that."""
        if not self._asked and self._made_s is not None and self._death is None:
            self._asked = True
            self.usage()
            if self._heard is not None:
                self._heard.await_begin()
            with suppress(ClusterError):  # one that stands still would not notice, and is killed in the end
                self.send(signal.SIGCONT)
            self._place.remove(self.name)

    def stop(self, grace_s: float) -> None:
        """Let it end, keep what it printed, and remove it: by force when it hasn't after `grace_s`.

        Raises:
            ClusterError: the cluster does not answer, or refuses.
        """
        if self._made_s is None or self._removed:
            return
        try:
            self.ask_to_stop()
            deadline_s = self._clock.monotonic() + grace_s
            while self._ended() is None and self._clock.monotonic() < deadline_s:
                self._clock.sleep(POLL_S)
        finally:
            self._removed = True
            try:
                self._place.remove(self.name, grace_s=1)
            finally:
                self._hear_out()

    def usage(self) -> tuple[float, float]:
        """Return CPU seconds and MiB by the kubelet's count; the last known once it ended."""
        return self._place.usage().get(self.name, (0.0, 0.0))

    def held(self) -> Mapping[str, float]:
        """Return the memory that it has, where that is told."""
        known = self._place.usage().get(self.name)
        return {} if known is None else {"memory": known[1] * 1024 * 1024}

    def last_lines(self) -> tuple[str, ...]:
        """Return the end of what it printed, at most 32 lines."""
        if self._heard is not None and self._heard.is_cut:
            with suppress(ClusterError):
                tail = {"tailLines": str(LAST_LINES), "limitBytes": str(TAIL_BYTES)}
                told = self._place.cluster.text(self._place.log_path(self.name), tail)
                return tuple(hidden(told).splitlines()[-LAST_LINES:])
        with suppress(OSError), self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, 2) - TAIL_BYTES))
            return tuple(log.read().decode("utf-8", "replace").splitlines()[-LAST_LINES:])
        return ()

    def listening(self) -> tuple[int, ...]:
        """Return nothing: which ports are listened on in it is not told."""
        return ()

    # --- how it is asked ---------------------------------------------------------------
    def _state(self) -> PodState | None:
        return self._place.state(self.name)

    def _ended(self) -> Death | None:
        """Return how it ended: that the cluster does not tell is no reason to wait on."""
        try:
            return self.poll()
        except StartError as error:
            return Death(name=self.name, status=-1, last_lines=(str(error),), log=self.log)

    def _end(self, found: PodState | None) -> Death:
        self._hear_out()
        lines = self.last_lines()
        if found is None:
            why = "" if self._asked else GONE
            return Death(name=self.name, status=0, last_lines=lines, log=self.log, why=why)
        if found.over_memory:
            lines = (*lines, f"(the kernel ended it: over its memory limit of {self._memory_mb} MiB)")
        if found.why:
            lines = (*lines, f"(the cluster: {found.why})")
        code = found.ended or 0
        status = KILLED_FROM - code if code > KILLED_FROM else code
        why = UNTOLD if code < 0 else ""
        return Death(name=self.name, status=status, last_lines=lines[-LAST_LINES:], log=self.log, why=why)

    def _listen(self) -> None:
        if self._heard is None:
            self._heard = Heard(self._place.cluster, self._place.log_path(self.name), self.log)

    def _hear_out(self) -> None:
        if self._heard is not None:
            self._heard.finish()
