"""The load as a child process: made ready, begun at an agreed instant, watched, and ended."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.clock import Clock
from harness.errors import StartError, quote
from harness.load.followed_rows import LoadProgress, Tail
from harness.load.job import BEGIN, READY, RESULT, LoadJob, write_job, write_whole
from harness.process.child import Child

__all__ = ["LoadChild", "LoadJob", "LoadProgress", "LoadResult"]

READY_WITHIN_S = 180.0
OVERTIME_S = 30.0
"""A load whose plan is over hangs when nothing of it ends for so much longer than a call may take."""
POLL_S = 0.02
GRACE_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What a load has to show for itself.

    Attributes:
        rows: file of `RequestRow` lines, in the order the calls ended.
        planned, sent, dropped: how many requests; what a ramp that ended early left out was not planned.
        cpu_s: CPU seconds of its process from begin to end.
    """

    rows: Path
    planned: int
    sent: int
    dropped: int
    cpu_s: float


class LoadChild:
    """Locust in a process of its own, replaying the plan of a job.

    Leaving its `with` block stops it, whatever it is doing.

    Args:
        job: what is sent where.
        clock: waits, and tells how far the load should be.
    """

    def __init__(self, job: LoadJob, *, clock: Clock) -> None:
        self._job = job
        self._clock = clock
        self._tail = Tail(job.rows, job.arrivals)
        self._child: Child | None = None
        self._start_s: float | None = None
        self._done_before = -1
        self._moved_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process; return when it waits for `begin`.

        Raises:
            ChildDiedError: it ended instead.
            StartError: it was not ready in time.
        """
        write_job(self._job)
        argv = [sys.executable, "-P", "-m", "harness.load.replay", str(self._job.work_dir)]
        self._child = Child("locust", argv, os.environ, self._job.log.parent, self._clock)
        self._child.start()
        ready = self._job.work_dir / READY
        deadline = self._clock.monotonic() + READY_WITHIN_S
        while not ready.exists():
            self._child.check()
            if self._clock.monotonic() >= deadline:
                raise StartError(
                    f"locust was not ready after {READY_WITHIN_S:g} s. Its last lines:\n"
                    f"{quote(self._child.last_lines())}\n"
                    f"The whole log: {self._child.log}"
                )
            self._clock.sleep(POLL_S)

    def begin(self, start_s: float) -> None:
        """Let the load begin at the Unix time `start_s`, from which every due time counts."""
        self._start_s = start_s
        monotonic_s = self._clock.monotonic() + start_s - self._clock.now()
        write_whole(self._job.work_dir / BEGIN, f"{start_s!r} {monotonic_s!r}")

    @property
    def begun_s(self) -> float | None:
        """When it began, in Unix seconds; None before."""
        return self._start_s

    def poll(self) -> int | None:
        """Return the exit status, None while it runs.

        Raises:
            StartError: its plan is over, and no call of it ends any more; or it stands still.
        """
        death = self._running.poll()
        if death is not None:
            return death.status
        self._running.check_it_moves()
        if self._elapsed_s() > self._job.longest_s:
            self._look_for_a_hang()
        return None

    def progress(self) -> LoadProgress:
        """Return how far the load is."""
        return self._tail.progress(self._elapsed_s())

    def usage(self) -> tuple[float, float]:
        """Return CPU seconds so far and resident MiB; the last known once it ended."""
        return self._running.usage()

    def wait(self) -> LoadResult:
        """Wait for the end of the load.

        Raises:
            ChildDiedError: it ended before its plan did.
            StartError: its plan is over, and no call of it ends any more.
        """
        while self.poll() is None:
            self._clock.sleep(POLL_S)
        file = self._job.work_dir / RESULT
        if not file.exists():
            self._running.check()
        return LoadResult(rows=self._job.rows, **json.loads(file.read_text("utf-8")))

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._child is not None:
            self._child.stop(GRACE_S)

    def _look_for_a_hang(self) -> None:
        """A machine that is too slow for the load ends it late, which is no hang as long as calls end."""
        done, now_s = self._tail.progress(self._elapsed_s()).done, self._clock.monotonic()
        if done > self._done_before:
            self._done_before, self._moved_s = done, now_s
        idle_s = now_s - self._moved_s
        if idle_s > self._job.timeout_s + OVERTIME_S:
            raise StartError(
                f"locust: still running, and for {idle_s:.0f} s no call has ended. See {self._job.log}"
            )

    @property
    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError("LoadChild.start() has to come first")
        return self._child

    def _elapsed_s(self) -> float:
        return 0.0 if self._start_s is None else self._clock.now() - self._start_s
