"""How much of this machine a run may use: the cores that it is given, and what others leave of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.errors import StartError

try:
    import resource
except ImportError:  # Windows: no such limit
    resource = None  # type: ignore[assignment]  # None - its type is of a module that is there

PROC_CGROUP = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")
V1_CONTROLLERS = ("cpu,cpuacct", "cpu")
"""Names under which the CPU controller of cgroup v1 is mounted."""
SATURATED = 0.85
"""Above this share of the cores in use by a run, queues form on the machine itself."""
LATE_MS, LATE_SHARE = 20.0, 0.02
"""A load that is later than both, at p99, blurs what it measures: so many ms, and this share of the p99."""
LEAST_SHARE = 0.5
"""Of the cores that others keep busy, the scheduler gives a run at least so much: it has several processes
that compete with each of theirs."""

BUSY = ("user", "nice", "system", "irq", "softirq", "steal")
"""Kinds of CPU time that are none of idling; other systems than Linux have fewer."""
MOST_OPEN = 65_536
"""Files that a process may have open: as many as it can use. Some programs look at each that it may."""
LEAST_OPEN = 256
LEAST_MEMORY = 384 << 20
"""Bytes of address space: below some 350 MiB the gate can no longer say that it has too little."""


def raise_open_files() -> None:
    """Let this process and its children open as many files as it may ask for: a connection is one."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    asked = MOST_OPEN if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN)
    if soft != resource.RLIM_INFINITY and soft < asked:
        with suppress(ValueError, OSError):  # macOS says that there is no limit, and has one
            resource.setrlimit(resource.RLIMIT_NOFILE, (asked, hard))


def require_memory() -> None:
    """Look whether this process may have the memory that a command's parts take to load.

    With less, what computes arrays waits for ever, or dies in the middle of saying so.

    Raises:
        StartError: it may not.
    """
    if resource is None:
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY and soft < LEAST_MEMORY:
        raise StartError(
            f"a process may have {soft >> 20} MiB of memory here: too little memory for agentrig; its parts "
            f"take {LEAST_MEMORY >> 20} MiB. Raise that limit: `ulimit -v`, in KiB."
        )


def require_open_files() -> None:
    """Look whether a process may open as many files as those of a fleet do.

    Raises:
        StartError: it may not.
    """
    if resource is None:
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < LEAST_OPEN:
        raise StartError(
            f"a process may have {soft} files open here; one of a fleet needs {LEAST_OPEN}, connections too. "
            "Raise that limit: `ulimit -n 4096`."
        )


def allowed_cores() -> frozenset[int]:
    """Return the numbers of the cores that this process may be put on; all where no system says."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))  # macOS, Windows


def usable_cores(
    affinity: Callable[[], int] = lambda: len(allowed_cores()),
    proc_cgroup: Path = PROC_CGROUP,
    cgroups: Path = CGROUPS,
) -> float:
    """Return how many cores this process may keep busy: by its affinity, and by the CPU quota of its cgroups.

    A container of two cores on a host of 64 has two, whatever the host has.

    Args:
        affinity: how many cores the scheduler may put it on.
        proc_cgroup: which cgroups it is in: `/proc/self/cgroup`.
        cgroups: where they are mounted.
    """
    return min([float(affinity()), *_quotas(proc_cgroup, cgroups)])


def _quotas(proc_cgroup: Path, cgroups: Path) -> list[float]:
    """Return the quota, in cores, of each cgroup from this process's own one up to the root."""
    found = []
    for line in _read(proc_cgroup).splitlines():
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if not colon:
            continue
        if controllers == "":
            found += [_v2(folder) for folder in _upwards(cgroups, path)]
        elif "cpu" in controllers.split(","):
            found += [_v1(folder) for name in V1_CONTROLLERS for folder in _upwards(cgroups / name, path)]
    return [quota for quota in found if quota is not None]


def _upwards(mount: Path, path: str) -> list[Path]:
    """Return a cgroup's folder and those above it; within a container, the mount itself is the own one."""
    own = mount / path.lstrip("/")
    return [own, *(folder for folder in own.parents if folder == mount or mount in folder.parents)]


def _v2(folder: Path) -> float | None:
    quota_us, _, period_us = _read(folder / "cpu.max").strip().partition(" ")
    return _cores(quota_us, period_us)


def _v1(folder: Path) -> float | None:
    return _cores(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _cores(quota_us: str, period_us: str) -> float | None:
    """Return a quota in cores; None for `max`, -1, and what is not there."""
    try:
        quota, period = float(quota_us), float(period_us)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""


def late_limit_ms(p99_ms: float | None) -> float:
    """Return how late a load may send, at p99, where latencies have that p99; None for an unknown one."""
    return max(LATE_MS, LATE_SHARE * (p99_ms or 0.0))


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU seconds since the machine was started.

    Attributes:
        busy_s: of all processes, on the cores that this one may be put on.
        wall_s: seconds since any origin.
    """

    busy_s: float
    wall_s: float


def cpu_time(monotonic: Callable[[], float]) -> CpuTime:
    """Read how busy the cores were so far that this process may be put on."""
    allowed = allowed_cores()
    each = [times for core, times in enumerate(psutil.cpu_times(percpu=True)) if core in allowed]
    busy_s = sum(float(getattr(times, kind, 0.0)) for times in each for kind in BUSY)
    return CpuTime(busy_s=busy_s, wall_s=monotonic())


def others_cores(before: CpuTime, after: CpuTime, own_cpu_s: float) -> float:
    """Return how many of the cores others kept busy between two readings.

    Args:
        before: the first reading.
        after: the second.
        own_cpu_s: what the run's own processes used meanwhile.
    """
    wall_s = after.wall_s - before.wall_s
    return max(0.0, after.busy_s - before.busy_s - own_cpu_s) / wall_s if wall_s > 0 else 0.0


def cores_taken(others: float) -> float:
    """Return how many of the cores that a run may use others keep busy: a quota's rest first."""
    return max(0.0, usable_cores() - (len(allowed_cores()) - others))


def free_cores(cores: float, others: float, physical: int) -> float:
    """Return how many cores a run gets beside others.

    Args:
        cores: that it may use, see `usable_cores`.
        others: how many of the machine's others keep busy.
        physical: cores that it may be put on; others use what a quota leaves first.
    """
    return min(cores, max(physical - others, LEAST_SHARE * cores))


def describe() -> dict[str, str | int | float]:
    """Describe this machine, as far as it matters to the figures."""
    cores = usable_cores()
    return {
        "platform": platform.platform(terse=True),
        "python": platform.python_version(),
        "cores": int(cores) if cores.is_integer() else round(cores, 2),
    }
