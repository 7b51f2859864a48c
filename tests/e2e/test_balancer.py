"""Envoy under each policy, in front of tiny agents whose work ends when the test says so."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.capture import decode
from harness.clock import SystemClock
from harness.contract import SESSION_HEADER, UPSTREAM_HEADER
from harness.fleet import commands, envoy, installed
from harness.fleet.balancers import Balancers
from harness.fleet.commands import Command, FleetAddresses, inherit
from harness.fleet.envoy import BalancerPlan
from harness.fleet.envoy_parts import typed
from harness.fleet.policies import Picks, Setting
from harness.fleet.ports import Ports, socket_folder
from harness.fleet.readiness import ReadinessTarget, http_fetch, wait_ready
from harness.outside.http import control_client
from harness.process.child import Child
from harness.records.seen import Span
from harness.records.spec import Policy
from tests.e2e.waiting import DEADLINE_S, until

pytestmark = pytest.mark.e2e

TINY_AGENT = (sys.executable, str(Path(__file__).parent / "fixtures" / "tiny_agent.py"))
EXTENDING = Path(__file__).parents[2] / "docs" / "extending"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACED = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}


class Rig:
    """Tiny agents, Envoy in front of them, and a capture."""

    def __init__(
        self,
        folder: Path,
        policy: Policy,
        *,
        agents: int = 2,
        queue_limit: int = 100,
        picks: Picks | None = None,
    ) -> None:
        self.folder = folder
        self.plan = {"policy": policy, "agents": agents, "queue_limit": queue_limit, "concurrency_limit": 1}
        self.stack = ExitStack()
        self.http = self.stack.enter_context(httpx.Client(trust_env=False, timeout=DEADLINE_S))
        sockets = self.stack.enter_context(socket_folder())
        self.control = self.stack.enter_context(control_client(DEADLINE_S, sockets=sockets))
        ports = self.stack.enter_context(Ports())
        self.wiring = FleetAddresses(
            experiment="e",
            arm="a",
            capture=ports.reserve(),
            simulator=1,
            mcp=1,
            inherited=inherit(os.environ),
        )
        self.agent_ports = [ports.reserve() for _ in range(agents)]
        self.balancer = BalancerPlan(
            **self.plan,
            port=ports.reserve(),
            admin=sockets / "envoy.sock",
            capture_port=self.wiring.capture,
            endpoints=folder / "endpoints" / "agents.json",
            access_log=folder / "access.jsonl",
            picks=picks,
        )
        self.url = f"http://127.0.0.1:{self.balancer.port}/invocations"
        self.children: dict[str, Child] = {}

    def start(self, *, traced: bool = False) -> None:
        """Start all, and a capture where the test looks at spans: it takes most of a start."""
        if traced:
            capture = commands.capture(self.wiring, self.folder / "capture", None)
            self._start("capture", capture, f"http://127.0.0.1:{self.wiring.capture}/healthz")
        for number, port in enumerate(self.agent_ports, start=1):
            self._start(
                f"agent-{number}", self._agent(f"agent-{number}", port), f"http://127.0.0.1:{port}/ping"
            )
        config = write_config(self.folder, self.balancer, self.agent_ports)
        command = commands.envoy(self.wiring, envoy.find_envoy(), config)
        self._start("envoy", command, "http://envoy.sock/ready")

    def _agent(self, name: str, port: int) -> Command:
        queues = self.balancer.policy not in {Policy.BUSY_503, Policy.BUSY_AWARE}
        return commands.agent(
            self.wiring,
            name=name,
            port=port,
            api_key="sk-none",
            sessions=self.folder / "sessions.db",
            concurrency_limit=1,
            env={"TINY_AGENT_QUEUES": "yes" if queues else "no"},
            argv=TINY_AGENT,
        )

    def _start(self, name: str, command: Command, ready: str) -> None:
        child = Child(name, command.argv, command.env, self.folder / "logs", SystemClock())
        self.children[name] = child
        self.stack.callback(child.stop, DEADLINE_S)
        child.start()
        wait_ready(
            [ReadinessTarget(child, ready)],
            deadline_s=DEADLINE_S,
            clock=SystemClock(),
            fetch=http_fetch(self.control),
        )

    def post(self, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        return self.http.post(self.url, json=body, headers=headers)

    def open(self, gate: str) -> None:
        for port in self.agent_ports:
            self.http.post(f"http://127.0.0.1:{port}/open/{gate}")

    def stat(self, name: str) -> int:
        page = self.control.get(f"http://envoy.sock/stats?filter=^{name}$").text
        return int(page.rpartition(":")[2] or 0)

    def spans(self) -> list[Span]:
        """Stop what sends spans, and return what came."""
        Balancers([self.balancer], self.folder, self.control).hand_in(SystemClock(), DEADLINE_S)
        self.stack.close()
        return list(decode.spans(decode.otlp_json_lines(self.folder / "capture" / "traces.raw")))


def write_config(folder: Path, plan: BalancerPlan, agent_ports: list[int]) -> Path:
    plan.endpoints.parent.mkdir(parents=True, exist_ok=True)
    listed = envoy.endpoints(tuple(("127.0.0.1", port) for port in agent_ports))
    plan.endpoints.write_text(json.dumps(listed))
    config = folder / "envoy.json"
    config.write_text(json.dumps(envoy.bootstrap(plan)))
    return config


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    with ExitStack() as stack:

        def starter(policy: Policy, *, traced: bool = False, **plan: Any) -> Rig:
            rig = Rig(tmp_path, policy, **plan)
            stack.callback(rig.stack.close)
            rig.start(traced=traced)
            return rig

        yield starter


@pytest.fixture
def later() -> Iterator[Callable[..., "Future[httpx.Response]"]]:
    with ThreadPoolExecutor(16) as pool:
        yield pool.submit


@pytest.mark.parametrize("policy", Policy)
def test_envoy_takes_the_configuration(tmp_path: Path, policy: Policy) -> None:
    config = write_config(tmp_path, Rig(tmp_path, policy).balancer, [1, 2])
    argv = [envoy.find_envoy(), "--mode", "validate", "--disable-hot-restart", "--config-path", config]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()


@pytest.mark.parametrize("policy", Policy)
def test_an_answer_names_its_container_once_and_its_trace_goes_through(
    start: Callable[..., Rig], policy: Policy
) -> None:
    rig = start(policy, traced=True)
    answer = rig.post(TRACED)
    assert answer.status_code == 200, answer.text
    assert answer.headers.get_list(UPSTREAM_HEADER) == [f"127.0.0.1:{answer.json()['port']}"]
    spans = [span for span in rig.spans() if span.trace_id == TRACE_ID]
    assert {span.service for span in spans} == {"envoy"}
    by_id = {span.span_id: span for span in spans}
    (entry,) = (span for span in spans if span.parent_span_id == "b7ad6b7169203331")
    assert entry.kind == "server"
    assert "agentrig.balancer.wait_ms" in entry.attributes
    last = max(spans, key=lambda span: depth(span, by_id))
    assert last.kind == "client"
    assert depth(last, by_id) == (3 if policy is Policy.BUSY_AWARE else 1)
    (logged,) = map(json.loads, rig.balancer.access_log.read_text().splitlines())
    assert (logged["status"], logged["trace_id"]) == (200, TRACE_ID)
    assert logged["queue_wait_ms"] >= 0


@pytest.mark.parametrize("like", [Policy.BUSY_503, Policy.BUSY_AWARE])
def test_a_policy_of_a_package_picks_in_place_of_the_one_that_it_is_like(
    start: Callable[..., Rig],
    later: Callable[..., "Future[httpx.Response]"],
    monkeypatch: pytest.MonkeyPatch,
    like: Policy,
) -> None:
    monkeypatch.syspath_prepend(EXTENDING)
    sticky = import_module("acme_rig.policy").POLICY
    extension = sticky.picks(Setting(agents=3, concurrency_limit=1, balancers=1))
    made = Picks(name=sticky.name, extension=extension, hashed_by=sticky.hashed_by)
    rig = start(like, agents=3, picks=made)

    def port(session: int) -> int:
        return int(rig.post({SESSION_HEADER: f"session-{session}"}).json()["port"])

    ports = [port(session) for session in range(24)]
    assert [port(session) for session in range(24)] == ports  # each has its own
    assert set(ports) == set(rig.agent_ports)  # and not all the same
    held = later(rig.post, {SESSION_HEADER: "session-0"}, gate="full")
    until("the request at work", lambda: rig.stat("cluster.agents.upstream_rq_active") == 1)
    assert port(0) != ports[0]  # what it refuses is offered to another, as of the policy that it is like
    rig.open("full")
    assert held.result().json()["port"] == ports[0]


@pytest.mark.parametrize(
    ("kind", "config", "said"),
    [
        ("maglev.v3.Maglev", {"table_size": 100}, "must be prime"),
        ("maglev.v3.Maglev", {"tabel_size": 101}, "no such field: 'tabel_size'"),
        ("nope.v3.Nope", {}, "could not find @type"),
    ],
)
def test_what_envoy_takes_for_no_policy_is_told_before_it_is_started(
    kind: str, config: dict[str, Any], said: str
) -> None:
    extension = typed("acme", f"extensions.load_balancing_policies.{kind}", config)
    refusal = installed._refusal(
        Policy.BUSY_AWARE,
        Picks(name="acme", extension=extension),
        Setting(agents=3, concurrency_limit=1, balancers=1),
    )
    assert said in (refusal or "")


def test_its_own_control_is_behind_no_port_that_a_browser_reaches(start: Callable[..., Rig]) -> None:
    rig = start(Policy.BUSY_AWARE)
    socket = rig.balancer.admin
    assert stat.S_ISSOCK(socket.stat().st_mode)
    assert (stat.S_IMODE(socket.stat().st_mode), stat.S_IMODE(socket.parent.stat().st_mode)) == (0o600, 0o700)
    assert rig.children["envoy"].listening() == (rig.balancer.port,)
    assert rig.control.get("http://envoy.sock/server_info").json()["state"] == "LIVE"


def depth(span: Span, by_id: dict[str, Span]) -> int:
    parent = by_id.get(span.parent_span_id or "")
    return 0 if parent is None else 1 + depth(parent, by_id)


@pytest.mark.parametrize("policy", Policy)
def test_a_stream_goes_through_event_by_event(start: Callable[..., Rig], policy: Policy) -> None:
    rig = start(policy)
    with rig.http.stream("POST", rig.url, json={"stream": True, "gate": "s"}) as answer:
        chunks = answer.iter_text()
        assert next(chunks) == 'data: "one"\n\n'
        rig.open("s")
        assert "".join(chunks) == 'data: "two"\n\n'


def test_the_gate_keeps_requests_in_order_and_refuses_what_exceeds_its_queue(
    start: Callable[..., Rig], later: Callable[..., "Future[httpx.Response]"]
) -> None:
    rig = start(Policy.BUSY_AWARE, agents=2, queue_limit=2)
    working = [later(rig.post, gate=gate) for gate in ("a", "b")]
    until("both at work", lambda: rig.stat("cluster.gate.upstream_rq_active") == 2)
    waiting = []
    for number, gate in enumerate(("c", "d"), start=1):
        waiting.append(later(rig.post, gate=gate))
        until("it in the queue", lambda n=number: rig.stat("cluster.gate.upstream_rq_pending_active") == n)
    refused = rig.post()
    assert (refused.status_code, refused.headers["x-envoy-overloaded"]) == (503, "true")
    assert UPSTREAM_HEADER not in refused.headers
    rig.open("d")
    rig.open("a")
    assert working[0].result(DEADLINE_S).status_code == 200
    until("the first to wait at work", lambda: rig.stat("cluster.gate.upstream_rq_pending_active") == 1)
    assert not waiting[1].done()
    rig.open("b")
    rig.open("c")
    answers = [future.result(DEADLINE_S) for future in (*working, *waiting)]
    assert {answer.status_code for answer in answers} == {200}
    # A slot is given back a moment after its answer: the guard may turn one away, and never again and again.
    assert rig.stat("cluster.agents.upstream_rq_retry") <= len(waiting)
    assert {a.headers[UPSTREAM_HEADER] for a in answers[:2]} == {f"127.0.0.1:{p}" for p in rig.agent_ports}


@pytest.mark.parametrize("policy", [Policy.BUSY_503, Policy.BUSY_AWARE])
def test_a_busy_refusal_is_offered_to_another_until_one_takes_it(
    start: Callable[..., Rig], later: Callable[..., "Future[httpx.Response]"], policy: Policy
) -> None:
    rig = start(policy, traced=True)
    with httpx.Client(trust_env=False, timeout=DEADLINE_S) as past_the_balancer:
        hidden = [
            later(past_the_balancer.post, f"http://127.0.0.1:{port}/invocations", json={"gate": "h"})
            for port in rig.agent_ports
        ]
        until("both at work", lambda: all(ping(rig, port) == "HealthyBusy" for port in rig.agent_ports))
        asked = later(rig.post, TRACED)
        until("refusals", lambda: rig.stat("cluster.agents.upstream_rq_retry") > 3)
        rig.open("h")
        assert asked.result(DEADLINE_S).status_code == 200
        assert {future.result(DEADLINE_S).status_code for future in hidden} == {200}
    attempts = [span for span in rig.spans() if span.kind == "client" and "503" in str(span.attributes)]
    assert len(attempts) > 3


def ping(rig: Rig, port: int) -> str:
    return str(rig.http.get(f"http://127.0.0.1:{port}/ping").json()["status"])


def test_ping_goes_round_a_busy_container(
    start: Callable[..., Rig], later: Callable[..., "Future[httpx.Response]"]
) -> None:
    rig = start(Policy.PING)
    busy = later(rig.post, gate="g")
    taken_by = set()
    for _ in range(6):
        seen_healthy(rig, 1)
        taken_by.add(rig.post().headers[UPSTREAM_HEADER])
    seen_healthy(rig, 1)
    also_busy = later(rig.post, gate="g")
    seen_healthy(rig, 0)
    when_all_are_busy = later(rig.post)
    rig.open("g")
    assert taken_by == {also_busy.result(DEADLINE_S).headers[UPSTREAM_HEADER]}
    assert busy.result(DEADLINE_S).headers[UPSTREAM_HEADER] not in taken_by
    assert when_all_are_busy.result(DEADLINE_S).status_code == 200


def seen_healthy(rig: Rig, count: int) -> None:
    """Wait until pings that began from now on have found so many containers with a free slot."""
    pings = "cluster.agents.health_check.attempt"
    asked = rig.stat(pings) + 3 * len(rig.agent_ports)
    until("new pings", lambda: rig.stat(pings) >= asked)
    until(f"{count} healthy", lambda: rig.stat("cluster.agents.membership_healthy") == count)


def test_blind_sends_to_a_busy_container_while_another_idles(
    start: Callable[..., Rig], later: Callable[..., "Future[httpx.Response]"]
) -> None:
    rig = start(Policy.BLIND)
    later(rig.post, gate="g")
    until("it at work", lambda: rig.stat("cluster.agents.upstream_rq_active") == 1)
    asked = [later(rig.post) for _ in range(2)]
    until("one answer", lambda: any(future.done() for future in asked))
    until("the other waiting", lambda: rig.stat("cluster.agents.upstream_rq_active") == 2)
    assert sum(future.done() for future in asked) == 1
    rig.open("g")
    assert {future.result(DEADLINE_S).status_code for future in asked} == {200}


@pytest.mark.parametrize("policy", [each for each in Policy if each is not Policy.READINESS])
def test_a_killed_container_costs_no_later_request(start: Callable[..., Rig], policy: Policy) -> None:
    rig = start(policy)
    rig.post()
    rig.children["agent-1"].send(signal.SIGKILL)
    until("its end", lambda: rig.children["agent-1"].poll() is not None)
    answers = [rig.post() for _ in range(8)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers[UPSTREAM_HEADER] for answer in answers} == {f"127.0.0.1:{rig.agent_ports[1]}"}


def test_a_plain_service_knows_of_a_killed_container_once_it_was_probed(start: Callable[..., Rig]) -> None:
    rig = start(Policy.READINESS)
    rig.post()
    rig.children["agent-1"].send(signal.SIGKILL)
    until("the probe", lambda: rig.stat("cluster.agents.membership_healthy") == 1)
    assert {rig.post().status_code for _ in range(8)} == {200}
