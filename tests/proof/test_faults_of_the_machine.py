"""Parts that stand still or are killed, little room, few files: what becomes of a real run."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.errors import ExitCode
from tests.e2e.agents import settings_here
from tests.e2e.command import (
    PARTS,
    alive,
    descendants,
    finish,
    runs,
    small_experiment,
    start,
    unless_the_machine_was_in_the_way,
    wait_until,
)
from tests.e2e.short_run import short_run
from tests.e2e.test_examples import example
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(1800)]
LOADED_WITHIN_S = 600.0
"""At a fifth of a core a fleet needs more than three minutes to be loaded; this ends only what hangs."""
RUN = ("run", "small.toml", "--rate-scale", "1", "--out", "out")
ROOM = """
set -e
mount --bind "$1" /mnt
for folder in /tmp /var/tmp; do
    mount -t tmpfs -o "$2" none $folder
    cat /dev/zero > $folder/filler 2> /dev/null || true
done
cd /mnt
shift 2
exec "$@"
"""
"""Folders for temporary files that have no room, for one process and what it starts."""


def loading(folder: Path) -> bool:
    return any(file.stat().st_size for file in folder.glob("out/work/*/*/rows.jsonl"))


@pytest.mark.parametrize("name", [*PARTS, "locust"])
def test_a_run_whose_part_stands_still_ends_and_names_it(tmp_path: Path, name: str) -> None:
    small_experiment(tmp_path, duration_s=600.0)
    run = start(*RUN, cwd=tmp_path)
    wait_until(run, "the load", lambda: loading(tmp_path), LOADED_WITHIN_S)
    everyone = descendants(run)
    part = next(each for each in everyone if runs(each, (PARTS | {"locust": "harness.load.replay"})[name]))
    part.suspend()
    code, out, err = finish(run)
    assert code == ExitCode.NOT_STARTED, f"{out}\n{err}"
    assert "stands still: somebody stopped it" in " ".join(err.split())
    assert name.rstrip("1") in err
    assert "Traceback" not in err
    assert not alive(everyone)
    assert not (tmp_path / "out" / "work").exists()


@pytest.mark.parametrize("name", ["mcp-server", "capture"])
def test_a_run_whose_part_is_killed_ends_and_names_it(tmp_path: Path, name: str) -> None:
    small_experiment(tmp_path, duration_s=600.0)
    run = start(*RUN, cwd=tmp_path)
    wait_until(run, "the load", lambda: loading(tmp_path), LOADED_WITHIN_S)
    everyone = descendants(run)
    next(each for each in everyone if runs(each, PARTS[name])).kill()
    code, out, err = finish(run)
    assert code == ExitCode.NOT_STARTED, f"{out}\n{err}"
    assert f"{name} was killed by signal 9" in err
    assert not alive(everyone)


def with_limits(limit: str, folder: Path) -> tuple[int, str, str]:
    argv = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", sys.executable, "-m", "harness", *RUN]
    return ended(argv, folder)


def ended(argv: Sequence[str], folder: Path) -> tuple[int, str, str]:
    run = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    return finish(run)


@pytest.mark.parametrize("limit", ["-Sn 256", "-n 256"])
def test_with_few_files_that_may_be_open_a_run_ends_in_its_verdict(tmp_path: Path, limit: str) -> None:
    small_experiment(tmp_path)
    code, out, err = with_limits(limit, tmp_path)
    unless_the_machine_was_in_the_way(code, out)
    assert code == ExitCode.HELD, f"{out}\n{err}"


@pytest.mark.parametrize("options", ["size=64k", "size=64k,nr_inodes=2"])
def test_without_room_for_temporary_files_a_run_ends_in_its_verdict(tmp_path: Path, options: str) -> None:
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    small_experiment(tmp_path)
    shell = ["unshare", "-m", "sh", "-c", ROOM, "sh", str(tmp_path), options]
    code, out, err = ended([*shell, sys.executable, "-m", "harness", *RUN], tmp_path)
    unless_the_machine_was_in_the_way(code, out)
    assert code == ExitCode.HELD, f"{out}\n{err}"
    assert {file.name for file in tmp_path.iterdir()} == {"out", "small.toml"}


def test_a_killed_harness_leaves_nothing_of_an_agent_of_somebody_else(tmp_path: Path) -> None:
    """An example of the docs under load, with all that it has started itself."""
    settings = example("fastapi-openai") / "agentrig.toml"
    (tmp_path / "agentrig.toml").write_text(settings_here(settings))
    (tmp_path / "short.toml").write_text(short_run(rate_rps=6.0, turn_gap_s=0.5))
    run = start(
        "run", "short.toml", "--agent", "agentrig.toml", "--rate-scale", "1", "--out", "out", cwd=tmp_path
    )
    wait_until(run, "the load", lambda: loading(tmp_path), LOADED_WITHIN_S)
    everyone = descendants(run)
    assert sum(runs(each, "agent:app") for each in everyone) >= 2
    run.kill()
    run.communicate()
    assert not alive(everyone)
    until("the end of its scratch files", lambda: not (tmp_path / "out" / "work").exists())
