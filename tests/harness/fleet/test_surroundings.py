"""What stands around containers: names, descriptors, and what the tool servers are told."""

import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.clock import FakeClock
from harness.errors import StartError
from harness.fleet.commands import Command
from harness.fleet.names import sitecustomize as hook
from harness.fleet.plan import FleetPlan
from harness.fleet.ports import Ports
from harness.fleet.surroundings import (
    NAMES_HOOK,
    OTHER_TOOLS,
    PYTHONPATH,
    TOLD_TOOLS,
    Surroundings,
    least_limit,
    more_tool_servers,
    told_tools,
)
from harness.records.setup import Container
from harness.records.weather import WeatherRule
from harness.simulator.tool_server_config import read_tools
from harness.under_test import AgentUnderTest
from tests.harness.fleet.docker.test_fleet import WIRING, plan

WINDOW = (1.0, 2.0)
UNRESOLVED = WeatherRule(kind="unresolved", target="model", window_s=WINDOW)
OTHER = WeatherRule(kind="other_tools", target="tools", window_s=WINDOW)


def around(asked: FleetPlan, **more: object) -> Surroundings:
    return Surroundings(asked, WIRING, ports=Ports(), clock=FakeClock(), **more)


# --- the start-up hook ---------------------------------------------------------------------
LISTENS = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_a_launcher_that_has_the_hook_is_not_the_agent_that_it_starts(tmp_path: Path) -> None:
    """What answers callers is a copy, or is none."""
    asked = replace(plan(tmp_path), restored=True)
    folder = (asked.work_dir / "snapshot").absolute()
    folder.mkdir(parents=True)
    with subprocess.Popen(
        [sys.executable, "-c", LISTENS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        there = (Container(name="agent-1", address=f"127.0.0.1:{port}"),)
        made = around(asked, pids=lambda: {"agent-1": process.pid})
        assert made.await_hooks(there) == frozenset()
        (folder / "agent-1.1").touch()
        assert made.await_hooks(there) == frozenset()
        (folder / f"agent-1.{process.pid}").touch()
        assert made.await_hooks(there) == {"agent-1"}
    elsewhere = (Container(name="agent-1", address="127.0.0.1:9"),)
    assert around(asked).await_hooks(elsewhere) == {"agent-1"}, "nobody knows its processes"


# --- descriptors -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("used", "spare", "limit"), [({0, 1, 2}, 0, 0), ({0, 1, 2}, 2, 5), ({0, 1, 5}, 1, 3), ({0, 2, 4}, 1, 3)]
)
def test_below_the_limit_as_many_numbers_are_free_as_are_to_be(
    used: set[int], spare: int, limit: int
) -> None:
    assert least_limit(used, spare) == limit
    assert sum(number not in used for number in range(limit)) == spare


HOLDS = """
import sys
def opens():
    try:
        open("/dev/null").close()
    except OSError as error:
        return error.errno
    return 0
for line in sys.stdin:
    print(opens(), flush=True)
"""


def test_a_container_without_descriptors_opens_nothing_and_then_as_much_as_before(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def told() -> int:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        made = around(plan(tmp_path), pids=lambda: {"agent-1": process.pid})
        before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        assert told() == 0
        made.descriptors("agent-2", 0)
        assert told() == 0
        made.descriptors("agent-1", 0)
        assert told() == 24  # EMFILE
        made.descriptors(None, None)
        assert told() == 0
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == before
        process.stdin.close()


def test_of_a_container_that_has_ended_nothing_is_limited(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    around(plan(tmp_path), pids=lambda: {"agent-1": gone.pid}).descriptors(None, 0)


def test_what_a_container_started_has_none_either(tmp_path: Path) -> None:
    shell = f"'{sys.executable}' -c '{HOLDS}'; true"
    with subprocess.Popen(
        ["sh", "-c", shell], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        made = around(plan(tmp_path), pids=lambda: {"agent-1": process.pid})
        told = []
        for spare in (None, 0, None):
            made.descriptors(None, spare)
            process.stdin.write("\n")
            process.stdin.flush()
            told.append(int(process.stdout.readline()))
        assert told[1:] == [24, 0]
        process.stdin.close()


def test_two_rules_that_overlap_leave_the_limit_as_it_was(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        made = around(plan(tmp_path), pids=lambda: {"agent-1": process.pid})
        before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        for spare in (5, 0, None, None):
            made.descriptors(None, spare)
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == before
        process.communicate(b"\n")


def test_containers_that_somebody_else_started_are_not_limited_and_not_said_to_be(tmp_path: Path) -> None:
    rule = WeatherRule(kind="descriptors", target="container", window_s=WINDOW)
    elsewhere = AgentUnderTest(name="bot", addresses=("127.0.0.1:1",))
    with (
        pytest.raises(StartError, match="what `command` starts"),
        around(plan(tmp_path, weather=(rule,), under_test=elsewhere)),
    ):
        pass


# --- names -------------------------------------------------------------------------------
def test_the_model_has_a_name_where_weather_may_befall_that(tmp_path: Path) -> None:
    named = plan(tmp_path, weather=(UNRESOLVED,))
    command = Command(argv=("agent",), env={"OPENAI_BASE_URL": "http://127.0.0.1:81/v1", PYTHONPATH: "/mine"})
    env = around(named).dressed(command, "agent-2").env
    assert env["OPENAI_BASE_URL"] == f"http://{hook.NAME}:81/v1"
    assert env[PYTHONPATH].split(os.pathsep) == [str(NAMES_HOOK), "/mine"]
    assert env[hook.OF] == "agent-2"
    assert around(replace(named, weather=(OTHER,))).dressed(command, "agent-2").env == command.env


def test_files_say_whose_resolver_fails(tmp_path: Path) -> None:
    made = around(plan(tmp_path, weather=(UNRESOLVED,)))
    (tmp_path / "names").mkdir()
    made.names(None, fail=True, after_s=0.25)
    made.names("agent-2", fail=True)
    assert {each.name: each.read_text() for each in (tmp_path / "names").iterdir()} == {
        "all": "0.25",
        "agent-2": "0.0",
    }
    made.names(None, fail=False)
    made.names(None, fail=False)
    assert [each.name for each in (tmp_path / "names").iterdir()] == ["agent-2"]


# --- tool servers ------------------------------------------------------------------------
def test_one_tool_server_is_told_nothing(tmp_path: Path) -> None:
    assert told_tools(plan(tmp_path)) == {}
    assert more_tool_servers(plan(tmp_path)) == 0


def test_of_several_each_has_sessions_and_one_more_has_other_tools(tmp_path: Path) -> None:
    asked = plan(tmp_path, tool_servers=3, weather=(OTHER,))
    assert more_tool_servers(asked) == 3
    for name, text in told_tools(asked).items():
        (tmp_path / name).write_text(text)
    found = {name: read_tools(tmp_path / name) for name in (TOLD_TOOLS, OTHER_TOOLS)}
    assert {each.protocol for each in found.values()} == {"2025-11-25"}
    assert [[tool.name for tool in each.tools] for each in found.values()] == [["search"], ["lookup"]]
