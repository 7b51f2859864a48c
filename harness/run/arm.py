"""Lets a load run against a fleet to its end, and measures what every process cost meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx

from harness.clock import Clock
from harness.fleet.fleet import Fleet
from harness.load.launcher import LoadChild, LoadProgress
from harness.machine import cpu_time, others_cores
from harness.records.setup import ProcessUsage

BEGIN_IN_S: Final = 0.3
"""The load begins so long after it was told to: both sides know the instant beforehand."""
POLL_S: Final = 0.1
LOAD: Final = "locust"
"""What the load's process is called among the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What a load cost.

    Attributes:
        start_s: when it began, in Unix seconds; due times count from here.
        usage: CPU and memory of each process.
        others_cores: how many cores those kept busy that do not belong to the run.
    """

    start_s: float
    usage: tuple[ProcessUsage, ...]
    others_cores: float


def drive(
    fleet: Fleet,
    load: LoadChild,
    clock: Clock,
    *,
    watch: Callable[[], None],
    progress: Callable[[LoadProgress, float], None] = lambda _, __: None,
) -> Driven:
    """Begin a load that is ready, and return when it has ended.

    Args:
        fleet: that it is sent to.
        load: started, and not begun.
        clock: for waiting.
        watch: called some ten times a second; raises when something is wrong.
        progress: is told how far the load is, and the seconds since it began.

    Raises:
        AgentrigError: a process died, or the load hangs.
    """
    start_s = clock.now() + BEGIN_IN_S
    httpx.post(f"{fleet.simulator_url}/sim/reset", json={"start_s": start_s}).raise_for_status()
    before, machine_before = {**fleet.usage(), LOAD: load.usage()}, cpu_time(clock.monotonic)
    load.begin(start_s)
    fleet.begin(start_s)
    while load.poll() is None:
        watch()
        progress(load.progress(), clock.now() - start_s)
        clock.sleep(POLL_S)
    after, machine_after = {**fleet.usage(), LOAD: load.usage()}, cpu_time(clock.monotonic)
    wall_s = clock.now() - start_s
    usage = tuple(
        ProcessUsage(name=name, cpu_s=cpu_s - before.get(name, (0.0, 0.0))[0], wall_s=wall_s, rss_mb=rss_mb)
        for name, (cpu_s, rss_mb) in after.items()
    )
    others = others_cores(machine_before, machine_after, sum(each.cpu_s for each in usage))
    return Driven(start_s=start_s, usage=usage, others_cores=others)
