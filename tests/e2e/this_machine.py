"""How fast this machine is, and whether it stood in the way of what was just timed.

What is timed is fitted to the machine; and where the machine was measurably the cause of a shortfall, the
test is skipped as unknown.
"""

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import pytest

from harness.machine import cpu_time, others_cores, usable_cores

LATE_S = 0.05
"""Who only sleeps is woken so much later than asked for when the machine is full, or stands still."""
SHARED = 0.25
"""Of the cores: above it, neighbours may be the cause. As the harness's own verdict has it."""
SLOWEST = 0.1
"""A test shall not take for ever; what is slower than this is late itself, and so unknown."""
WORK = 300_000
FAST_S = 0.003
"""What summing up so many numbers takes on the machine that the rates of these tests were written for."""


def speed() -> float:
    """Return how fast this machine is at this moment: the share of the one that rates were written for."""
    took_s = []
    for _ in range(25):
        begun_s = time.perf_counter()
        sum(range(WORK))
        took_s.append(time.perf_counter() - begun_s)
    return min(1.0, max(SLOWEST, FAST_S / statistics.mean(took_s)))


@dataclass
class Watched:
    """What was seen of the machine meanwhile.

    Attributes:
        late_s: how much later than asked for a thread was woken that only slept, each time.
        others: share of the cores that other processes kept busy.
    """

    late_s: list[float] = field(default_factory=list)
    others: float = 0.0

    def skip_if_the_cause(self) -> None:
        """Skip the test where the machine was late itself, or shared with others."""
        late_s = sorted(self.late_s)[int(0.99 * len(self.late_s))] if self.late_s else 0.0
        if late_s > LATE_S:
            pytest.skip(f"unknown: this machine woke a sleeping thread {late_s * 1e3:.0f} ms late (p99)")
        if self.others > SHARED:
            pytest.skip(f"unknown: others kept {self.others:.0%} of the cores busy")


@contextmanager
def watched() -> Iterator[Watched]:
    """Watch the machine for the length of a `with` block."""
    seen, over = Watched(), threading.Event()
    me = psutil.Process()

    def own_s() -> float:
        each = [me, *me.children(recursive=True)]
        return sum(times.user + times.system for times in (process.cpu_times() for process in each))

    def look() -> None:
        while True:
            due_s = time.monotonic() + 0.01
            if over.wait(0.01):
                return
            seen.late_s.append(time.monotonic() - due_s)

    thread = threading.Thread(target=look, daemon=True)
    before, own_before_s = cpu_time(time.monotonic), own_s()
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
        used_s = own_s() - own_before_s
        seen.others = others_cores(before, cpu_time(time.monotonic), used_s) / usable_cores()
