"""What the engine and the cluster of the tests take down: what they put up, and nothing of anybody else."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("kubelet", "scheduler", "controllers", "apiserver", "etcd", "containerd")
STUBBED = (
    *("ctr", "ip", "iptables", "iptables-restore", "iptables-save", "ip6tables", "ip6tables-restore"),
    *("ip6tables-save", "pgrep", "sleep", "sysctl", "umount", "rmdir", "find"),
)
"""What would change this machine, or wait."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which nothing is changed, and what is asked for is noted in `asked`."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    for name in STUBBED:
        stub = stubs / name
        stub.write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path / "asked"}\n')
        stub.chmod(0o700)
    cache = {"XDG_CACHE_HOME": str(tmp_path), "AGENTRIG_CLUSTER": str(tmp_path / "cluster")}
    return {**os.environ, **cache, "PATH": f"{stubs}:{os.environ['PATH']}"}


@pytest.fixture
def somebodys() -> Iterator[subprocess.Popen[bytes]]:
    """A process that was given the number of one of ours that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def take_down(what: str, env: dict[str, str]) -> None:
    subprocess.run([ROOT / ".ci" / what / "down"], env=env, check=True, timeout=120, capture_output=True)


def test_a_process_that_has_the_number_of_an_engine_that_died_lives_on(
    env: dict[str, str], tmp_path: Path, somebodys: subprocess.Popen[bytes]
) -> None:
    home = tmp_path / "agentrig" / "engine"
    home.mkdir(parents=True)
    (home / "forward").write_text("-P FORWARD ACCEPT\n")
    (home / "dockerd.pid").write_text(str(somebodys.pid))
    take_down("engine", env)
    assert somebodys.poll() is None
    assert "iptables -P FORWARD ACCEPT" in (tmp_path / "asked").read_text()


def test_where_no_engine_was_put_up_no_rule_is_touched(env: dict[str, str], tmp_path: Path) -> None:
    home = tmp_path / "agentrig" / "engine"
    home.mkdir(parents=True)
    (home / "dockerd.pid").write_text("1")
    take_down("engine", env)
    assert not (tmp_path / "asked").exists()


def test_a_process_that_has_the_number_of_a_part_that_died_lives_on(
    env: dict[str, str], tmp_path: Path, somebodys: subprocess.Popen[bytes]
) -> None:
    run = tmp_path / "cluster" / "run"
    run.mkdir(parents=True)
    for part in PARTS:
        (run / f"{part}.pid").write_text(str(somebodys.pid))
    take_down("cluster", env)
    assert somebodys.poll() is None
    assert not list(run.glob("*.pid"))


def test_its_own_part_ends(env: dict[str, str], tmp_path: Path) -> None:
    run = tmp_path / "cluster" / "run"
    run.mkdir(parents=True)
    words = [sys.executable, "-c", "input()", "--data-dir", f"{run}/etcd"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as ours:
        try:
            (run / "etcd.pid").write_text(str(ours.pid))
            take_down("cluster", env)
            assert ours.wait(60) != 0
        finally:
            ours.kill()
