"""The whole fleet with its real parts: up, in use, broken, and gone."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from harness.capture import decode
from harness.contract import UPSTREAM_HEADER
from harness.errors import ChildDiedError, InputError, StartError
from harness.fleet.commands import Command, FleetAddresses
from harness.fleet.envoy import BalancerPlan
from harness.fleet.local.fleet import LocalFleet
from harness.fleet.plan import FleetPlan
from harness.records.seen import Span
from harness.records.spec import AutoscaleSpec, EventSpec, Policy
from harness.simulator_config import SimulatorConfig
from tests.e2e.asking import HTTP
from tests.e2e.command import PARTS, runs
from tests.e2e.rolling import TAKES_S, rolled, statuses
from tests.e2e.waiting import DEADLINE_S, until

pytestmark = pytest.mark.e2e

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
TRACED = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
ROOT = Path(__file__).parent.parent.parent
TINY_AGENT = (sys.executable, str(Path(__file__).parent / "fixtures" / "tiny_agent.py"))
EVERYONE = {"capture", "simulator", "mcp-server", "agent-1", "agent-2", "envoy"}


def plan(folder: Path, **changed: Any) -> FleetPlan:
    asked: dict[str, Any] = {
        "experiment": "an-experiment",
        "arm": "an-arm",
        "agents": 2,
        "concurrency_limit": 4,
        "policy": Policy.BUSY_AWARE,
        "queue_limit": 100,
        "simulator": SimulatorConfig(tool_turns=1),
        "mcp_handshake_s": 0.0,
        "env": {},
        "work_dir": folder / "work",
        "log_dir": folder / "logs",
        "forward_url": None,
    }
    return FleetPlan(**(asked | changed))


def ask(fleet: LocalFleet, url: str = "", **headers: str) -> httpx.Response:
    return HTTP.post(
        f"{url or fleet.urls[0]}/invocations", json={"prompt": "hello"}, headers=headers, timeout=DEADLINE_S
    )


def spans(fleet: LocalFleet) -> list[Span]:
    return list(decode.spans(decode.otlp_json_lines(fleet.traces_raw)))


def children(pid: int | None = None) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    left = children()
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    assert not left


class AgentsAlone(LocalFleet):
    """A balancer and agents that call nobody: to start what others would call takes 3 s of CPU."""

    def _capture(self, wiring: FleetAddresses) -> dict[str, tuple[Command, str]]:
        del wiring
        return {}

    _model_and_tools = _capture


class OfEveryPolicy(LocalFleet):
    """A fleet with a balancer of each policy, before the same containers: to start those takes longest."""

    def _balancer_plans(self, *where: Any) -> list[BalancerPlan]:
        plans = super()._balancer_plans(*where)
        return [replace(each, policy=policy) for each, policy in zip(plans, Policy, strict=True)]


# How each policy chooses among containers is tested with the balancer alone.
def test_a_request_goes_through_every_process_in_one_trace(tmp_path: Path) -> None:
    phases: list[str] = []
    everyone = EVERYONE | {f"envoy-{number}" for number in range(2, len(Policy) + 1)}
    traces = {f"{number:032x}": policy for number, policy in enumerate(Policy, start=1)}
    with OfEveryPolicy(plan(tmp_path, balancers=len(Policy)), on_phase=phases.append) as fleet:
        addresses = {container.address for container in fleet.containers}
        assert len(addresses) == 2
        for url, trace_id in zip(fleet.urls, traces, strict=True):
            answer = ask(fleet, url, traceparent=f"00-{trace_id}-{SPAN_ID}-01")
            assert answer.status_code == 200, answer.text
            assert answer.headers.get_list(UPSTREAM_HEADER)[0] in addresses
        fleet.check()
        usage = fleet.usage()
        assert set(usage) == everyone
        assert all(cpu_s > 0 and rss_mb > 1 for cpu_s, rss_mb in usage.values()), usage
    assert len(phases) == 3
    came = spans(fleet)
    for trace_id, policy in traces.items():
        traced = [span for span in came if span.trace_id == trace_id]
        assert {span.service for span in traced} == {"envoy", "agent", "model-api", "mcp-server"}, policy
        known = {span.span_id for span in traced}
        roots = {span.parent_span_id for span in traced if span.parent_span_id not in known}
        assert roots == {SPAN_ID}, policy
        (instance,) = {span.instance for span in traced if span.service == "agent"}
        assert instance in {container.name for container in fleet.containers}
    assert fleet.journal.read_text().count("\n") == 2 * len(traces)
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {
        *(f"{name}.log" for name in everyone),
        *(f"{name}-access.jsonl" for name in everyone if name.startswith("envoy")),
    }


def test_an_agent_that_knows_only_the_contract_is_started_by_its_command_without_the_users_own_keys(
    tmp_path: Path,
) -> None:
    environ = {**os.environ, "AWS_SECRET_ACCESS_KEY": "secret", "OPENAI_API_KEY": "secret"}
    with LocalFleet(plan(tmp_path, agent_command=TINY_AGENT), environ=environ) as fleet:
        assert ask(fleet).status_code == 200
        environments = [process.environ() for process in children()]
    assert len(environments) == len(EVERYONE)
    assert not [env for env in environments if "secret" in env.values()]


def test_two_fleets_side_by_side_do_not_meet(tmp_path: Path) -> None:
    with (
        LocalFleet(plan(tmp_path / "a", agents=1, agent_command=TINY_AGENT)) as one,
        LocalFleet(plan(tmp_path / "b", agents=1, agent_command=TINY_AGENT)) as two,
    ):
        assert ask(one).headers[UPSTREAM_HEADER] == one.containers[0].address
        assert ask(two).headers[UPSTREAM_HEADER] == two.containers[0].address


def test_an_agent_that_dies_at_the_start_is_told_and_all_are_stopped(tmp_path: Path) -> None:
    broken = (sys.executable, "-c", "raise SystemExit('no model is set')")
    with pytest.raises(ChildDiedError, match=r"agent-\d ended with exit status 1") as caught:
        LocalFleet(plan(tmp_path, agent_command=broken)).__enter__()
    assert caught.value.death.last_lines == ("no model is set",)
    assert not children()


def test_an_agent_that_never_answers_is_told_and_all_are_stopped(tmp_path: Path) -> None:
    """How long it may take is its own: no other process of the fleet is up so soon."""
    silent = (sys.executable, "-c", "import time; time.sleep(600)")
    said = r"agent-1 was not ready after 0\.1 s: nobody answered at http://.*/ping"
    with pytest.raises(StartError, match=said):
        LocalFleet(plan(tmp_path, agent_command=silent, start_deadline_s=0.1)).__enter__()
    assert not children()


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ChildDiedError, match=r"/no/such/agent: cannot be started: No such file"):
        AgentsAlone(plan(tmp_path, agent_command=("/no/such/agent",))).__enter__()


def test_a_folder_that_cannot_be_written_is_told_before_anything_starts(tmp_path: Path) -> None:
    tmp_path.joinpath("work").touch()
    with pytest.raises(StartError, match=r"work/sessions: cannot be written to"):
        LocalFleet(plan(tmp_path)).__enter__()
    assert not tmp_path.joinpath("logs", "capture.log").exists()


def test_an_interrupt_while_it_starts_stops_what_runs(tmp_path: Path) -> None:
    started: list[psutil.Process] = []

    def interrupt(phase: str) -> None:
        if "agents" in phase:
            started.extend(children())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalFleet(plan(tmp_path), on_phase=interrupt).__enter__()
    assert len(started) == 3
    assert not children()


def test_an_agent_killed_by_somebody_is_told_with_its_last_lines(tmp_path: Path) -> None:
    talking = ("sh", "-c", f"echo about to work; exec {' '.join(TINY_AGENT)}")
    with AgentsAlone(plan(tmp_path, agent_command=talking)) as fleet:
        victim = next(
            p for p in children() if p.environ().get("OTEL_RESOURCE_ATTRIBUTES", "").count("agent-2")
        )
        victim.kill()
        until("its death", lambda: dead(fleet) is not None)
        death = dead(fleet)
    assert death is not None
    assert (death.death.name, death.death.status) == ("agent-2", -signal.SIGKILL)
    assert death.death.last_lines == ("about to work",)
    assert "agent-2 was killed by signal 9" in str(death)


def dead(fleet: LocalFleet) -> ChildDiedError | None:
    try:
        fleet.check()
    except ChildDiedError as error:
        return error
    return None


def test_an_agent_killed_by_the_experiment_is_no_trouble_and_the_others_serve(tmp_path: Path) -> None:
    with AgentsAlone(plan(tmp_path, agent_command=TINY_AGENT)) as fleet:
        fleet.kill("agent-1")
        until(
            "the other one alone",
            lambda: ask(fleet).headers.get(UPSTREAM_HEADER) == fleet.containers[1].address,
        )
        fleet.check()
        with pytest.raises(InputError, match="agent-9: no such process in this fleet; there are agent-1, "):
            fleet.kill("agent-9")


def test_a_part_that_stands_still_is_named_also_where_something_else_waited_for_it(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"^capture stands still: "):
        stop_each_part(tmp_path)
    assert not children()


def stop_each_part(folder: Path) -> None:
    with LocalFleet(plan(folder, agents=1, agent_command=TINY_AGENT)) as fleet:
        for name, word in (PARTS | {"agent-1": TINY_AGENT[1]}).items():
            (part,) = (each for each in children() if runs(each, word))
            part.suspend()
            until(f"{name} stand still", lambda: standing(fleet) is not None)
            assert str(standing(fleet)).startswith(f"{name} stands still: ")
            fleet.check()  # it may, for a while
            part.resume()
            until(f"{name} go on", lambda: not standing(fleet))
        next(each for each in children() if runs(each, PARTS["capture"])).suspend()
        until("the capture stand still", lambda: standing(fleet) is not None)
        raise StartError("nobody answered")


def standing(fleet: LocalFleet) -> str | None:
    """Return what is said of a part that stands still, and at once."""
    try:
        fleet.check(still_s=0.0)
    except StartError as error:
        return str(error)
    return None


def test_a_container_that_an_experiment_lets_stand_still_is_no_trouble(tmp_path: Path) -> None:
    frozen = EventSpec(action="freeze", at_s=0.0, for_s=600.0)
    with AgentsAlone(plan(tmp_path, agent_command=TINY_AGENT, events=(frozen,))) as fleet:
        fleet.begin(time.time())
        fleet.step()
        until("one stand still", lambda: any(p.status() == psutil.STATUS_STOPPED for p in children()))
        assert standing(fleet) is None


def test_containers_come_and_go_under_load_and_no_request_is_lost(tmp_path: Path) -> None:
    events = [
        EventSpec(action="kill", at_s=0.5),
        EventSpec(action="add", at_s=0.5),
        EventSpec(action="remove", at_s=2.5),
    ]
    asked = plan(tmp_path, agent_command=TINY_AGENT, events=tuple(events), retry_resets=True, balancers=2)
    with AgentsAlone(asked) as fleet, ThreadPoolExecutor(8) as pool:
        over, served = threading.Event(), list[Answer]()
        answers = [pool.submit(asks, url, over, served) for url in fleet.urls * 4]
        try:
            until("the first answers", lambda: len(served) > 20)
            fleet.begin(time.time())
            before = fleet.usage()
            until("all events", lambda: moved(fleet))
            moved_s = time.time()
            staying = {each.address for each in fleet.containers if each.left_s is None}
            until("answers of all that stay", lambda: {a.upstream for a in since(served, moved_s)} == staying)
        finally:
            over.set()
        for future in answers:
            future.result()
        containers = {each.name: each for each in fleet.containers}
        after = fleet.usage()
    assert {answer.status for answer in served} == {200}
    assert [event.action for event in fleet.events] == ["kill", "add", "remove"]
    assert set(containers) == {"agent-1", "agent-2", "agent-3", "agent-4"}
    assert all(containers[name].joined_s for name in ("agent-3", "agent-4"))
    for event in fleet.events[::2]:
        assert containers[event.container].left_s == event.time_s
    assert len(staying) == 2
    assert {answer.upstream for answer in since(served, moved_s)} == staying
    assert all(cpu_s >= before.get(name, (0.0, 0.0))[0] for name, (cpu_s, _) in after.items())
    assert set(after) == {*containers, "envoy", "envoy-2"}


def test_all_agents_are_replaced_by_new_ones_and_the_old_have_ended(tmp_path: Path) -> None:
    with AgentsAlone(plan(tmp_path, agent_command=TINY_AGENT)) as fleet:
        first = {each.address for each in fleet.containers}
        fleet.renew()
        assert not any(map(listens, first))
        staying = {each.address for each in fleet.containers if each.left_s is None}
        assert len(staying) == len(first)
        assert not staying & first
        served = [ask(fleet) for _ in range(8)]
        assert {answer.status_code for answer in served} == {200}
        assert {answer.headers[UPSTREAM_HEADER] for answer in served} == staying


def test_in_a_rolling_update_no_request_is_lost_although_none_is_sent_again(tmp_path: Path) -> None:
    with LocalFleet(plan(tmp_path, **rolled(drains=True))) as fleet:
        assert set(statuses(fleet)) == {200}


def test_an_agent_that_leaves_with_requests_in_work_loses_them(tmp_path: Path) -> None:
    drops = {"env": {"TINY_AGENT_WORK_S": str(TAKES_S[True]), "TINY_AGENT_DROPS": "yes"}}
    with AgentsAlone(plan(tmp_path, **rolled(drains=False) | drops, agent_command=TINY_AGENT)) as fleet:
        assert set(statuses(fleet)) > {200}


class Answer(NamedTuple):
    sent_s: float
    status: int
    upstream: str | None


def asks(url: str, over: threading.Event, served: list[Answer]) -> None:
    """Ask again and again; `served` gets what came of it."""
    with httpx.Client(trust_env=False, timeout=DEADLINE_S) as client:
        while not over.is_set():
            sent_s = time.time()
            answer = client.post(f"{url}/invocations", json={"prompt": "hello", "work_s": 0.05})
            served.append(Answer(sent_s, answer.status_code, answer.headers.get(UPSTREAM_HEADER)))


def since(served: Sequence[Answer], from_s: float) -> list[Answer]:
    """Return the answers to what was sent after a time."""
    return [answer for answer in tuple(served) if answer.sent_s > from_s]


def moved(fleet: LocalFleet) -> bool:
    """Do what is due; return whether all has happened, and those that left have ended."""
    fleet.step()
    gone = [each.address for each in fleet.containers if each.left_s is not None]
    all_in = len(fleet.containers) == 4
    return all_in and len(fleet.events) == len(gone) + 1 == 3 and not any(map(listens, gone))


def listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=DEADLINE_S).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize(("policy", "status"), [(Policy.BUSY_AWARE, 200), (Policy.LEAST_REQUEST, 503)])
def test_a_fleet_without_requests_ends_its_last_container_and_the_next_request_starts_one(
    tmp_path: Path, policy: Policy, status: int
) -> None:
    """Behind a busy signal it waits for it; behind another policy it is refused."""
    autoscale = AutoscaleSpec(target=4.0, least=0, most=1, sync_s=0.2, down_s=0.4)
    scaled = plan(tmp_path, agents=1, policy=policy, autoscale=autoscale)
    with LocalFleet(scaled) as fleet, ThreadPoolExecutor(3) as pool:
        fleet.begin(time.time())
        until("that nobody is left", lambda: stepped(fleet) and fleet.containers[0].left_s is not None)
        asked = [pool.submit(ask, fleet) for _ in range(3)]
        until("the answers", lambda: stepped(fleet) and all(each.done() for each in asked))
        answers = [each.result() for each in asked]
        assert {answer.status_code for answer in answers} == {status}, [answer.text for answer in answers]
        until("that another is started", lambda: stepped(fleet) and len(fleet.events) > 1)
        assert [event.action for event in fleet.events][:2] == ["remove", "add"]
        if status == 200:
            assert {answer.headers[UPSTREAM_HEADER] for answer in answers} == {fleet.containers[1].address}


def stepped(fleet: LocalFleet) -> bool:
    fleet.step()
    return True


def test_a_killed_harness_takes_its_fleet_with_it(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tests.e2e.test_fleet import *\n"
        f"with LocalFleet(plan(Path({str(tmp_path)!r}), agent_command=TINY_AGENT)):\n"
        "    print('up', flush=True); time.sleep(600)\n"
    )
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as harness:
        assert harness.stdout is not None
        try:
            assert harness.stdout.readline() == "up\n"
            everyone = children(harness.pid)
        finally:
            harness.kill()
    assert len(everyone) == len(EVERYONE)
    _, alive = psutil.wait_procs(everyone, timeout=20.0)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
