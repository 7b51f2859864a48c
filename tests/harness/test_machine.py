"""What a run may use of a machine, and what others leave of it."""

import os
import resource
from pathlib import Path

import pytest

from harness.errors import StartError
from harness.machine import (
    MOST_OPEN,
    CpuTime,
    cpu_time,
    free_cores,
    others_cores,
    raise_open_files,
    require_open_files,
    usable_cores,
)


def cgroup(folder: Path, membership: str, files: dict[str, str]) -> tuple[Path, Path]:
    proc = folder / "cgroup"
    proc.write_text(membership)
    for name, text in files.items():
        file = folder / "fs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return proc, folder / "fs"


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 64.0),
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/pod/agent\n", {"pod/cpu.max": "150000 100000\n", "pod/agent/cpu.max": "max 100000\n"}, 1.5),
        ("0::/pod/agent\n", {"pod/cpu.max": "400000 100000\n", "pod/agent/cpu.max": "50000 100000\n"}, 0.5),
        # As a container sees it that has its own cgroup mounted, but the host's path to it:
        ("0::/docker/4af1\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("5:cpuset:/x\n4:cpu,cpuacct:/x\n", cpu_v1 := {"cpu,cpuacct/x/cpu.cfs_quota_us": "66000\n",
          "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n"}, 0.66),
        ("1:cpu:/x\n", {f"cpu/x/{name.rpartition('/')[2]}": text for name, text in cpu_v1.items()}, 0.66),
        ("1:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1\n", "cpu/x/cpu.cfs_period_us": "100000\n"}, 64.0),
        ("0::/\n", {"cpu.max": "nonsense"}, 64.0),
        ("0::/\n", {}, 64.0),
    ],
)  # fmt: skip
def test_the_cores_are_those_that_the_quotas_of_all_cgroups_leave(
    tmp_path: Path, membership: str, files: dict[str, str], cores: float
) -> None:
    assert usable_cores(lambda: 64, *cgroup(tmp_path, membership, files)) == pytest.approx(cores)


def test_a_quota_above_the_affinity_gives_nothing(tmp_path: Path) -> None:
    proc, mount = cgroup(tmp_path, "0::/\n", {"cpu.max": "800000 100000\n"})
    assert usable_cores(lambda: 2, proc, mount) == 2.0


def test_without_cgroups_it_is_the_affinity(tmp_path: Path) -> None:
    assert usable_cores(lambda: 3, tmp_path / "none", tmp_path / "nowhere") == 3.0


def test_of_this_machine_something_is_known() -> None:
    assert 0 < usable_cores() <= (os.cpu_count() or 1)
    assert cpu_time(lambda: 5.0).busy_s > 0


def test_others_are_those_that_are_not_of_the_run() -> None:
    before, after = CpuTime(busy_s=100.0, wall_s=10.0), CpuTime(busy_s=130.0, wall_s=30.0)
    assert others_cores(before, after, own_cpu_s=10.0) == pytest.approx(1.0)
    assert others_cores(before, after, own_cpu_s=40.0) == 0.0
    assert others_cores(before, before, own_cpu_s=0.0) == 0.0


@pytest.mark.parametrize(
    ("cores", "others", "physical", "free"),
    [
        (2.0, 0.0, 2, 2.0),
        (2.0, 0.5, 2, 1.5),
        (2.0, 2.0, 2, 1.0),  # the scheduler gives it its half
        (2.0, 30.0, 64, 2.0),  # a quota on a large host: others use what it leaves
        (0.66, 0.0, 2, 0.66),
    ],
)
def test_what_is_free_is_what_others_leave_and_at_least_half(
    cores: float, others: float, physical: int, free: float
) -> None:
    assert free_cores(cores, others, physical) == pytest.approx(free)


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What a process may have open; the last is what counts."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: told[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: told.append(limit))
    return told


@pytest.mark.parametrize(
    ("soft", "hard", "raised"),
    [
        (1024, 4096, 4096),
        (1024, resource.RLIM_INFINITY, MOST_OPEN),
        (1024, 2**30, MOST_OPEN),
        (2**20, 2**30, 2**20),
        (32, 32, 32),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
    ],
)
def test_a_process_may_open_what_it_may_ask_for(
    limits: list[tuple[int, int]], *, soft: int, hard: int, raised: int
) -> None:
    limits.append((soft, hard))
    raise_open_files()
    assert limits[-1] == (raised, hard)


def test_too_few_open_files_are_told_before_a_fleet_starts(limits: list[tuple[int, int]]) -> None:
    limits.append((32, 32))
    with pytest.raises(StartError, match=r"may have 32 files open here.*ulimit -n"):
        require_open_files()
    limits.append((256, 256))
    require_open_files()
