"""A short run that moves every figure of the dashboards, watched by a real Prometheus.

The containers start cold, are sent more than they have slots for, and a model API throttles them.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from harness.fleet.local.fleet import LocalFleet
from harness.fleet.plan import FleetPlan
from harness.fleet.ports import HOST, Ports
from harness.outside.http import control_client
from harness.process.child import Child
from harness.records.spec import Policy
from harness.simulator_config import Distribution, FaultRule, Latency, SimulatorConfig
from tests.e2e.agents import CLOCK
from tests.e2e.asking import HTTP
from tests.e2e.prometheus_server import Prometheus, prometheus
from tests.e2e.waiting import DEADLINE_S, until

ROOT = Path(__file__).parents[2]
STORM = SimulatorConfig(
    tool_turns=1,
    latency=Latency(ttft=Distribution(median_s=0.4, p99_s=1.5)),
    faults=(
        FaultRule(kind="auth", probability=0.05),
        FaultRule(kind="rate_limit_requests", probability=0.3, retry_after_s=0.3),
        FaultRule(kind="conn_reset", probability=0.1),
    ),
)
AT_ONCE = 6
IN_FLIGHT = 30
"""More than there are slots, so that some are dropped; so few that a slow machine answers each in seconds.

What keeps the slots full is how long the model takes, not how much is sent: this takes a tenth of the CPU.
"""
LIMITS = "min-requests=20,no-errors=0.3"
"""Some are refused when a container has just been full: where none may fail, no check is taken for held."""
SINCE = "5m"
"""Traces that last longer than a tenth of it make a look unknown: a slow machine has some of many seconds."""
LOAD_S = 1800
"""Longer than anybody looks; it is ended then."""
LOAD_BEGUN = "agentrig_load_due_total > 0"
LOOK_S = 1.0
"""Prometheus scrapes and evaluates as often: in between, there is nothing new to ask it for."""
YOUNG_S = 6.0
"""So long after the first request a container counts as warm."""


def plan(folder: Path, forward_url: str) -> FleetPlan:
    """Two containers with four slots each, and short backoffs so that the run is short."""
    return FleetPlan(
        experiment="dashboards",
        arm="storm",
        agents=2,
        concurrency_limit=4,
        policy=Policy.BUSY_AWARE,
        queue_limit=1000,
        simulator=STORM,
        mcp_handshake_s=0.1,
        env={"AGENT_RETRY_BASE_S": "0.2"},
        work_dir=folder / "work",
        log_dir=folder / "logs",
        forward_url=forward_url,
    )


@dataclass(frozen=True)
class Seen(Prometheus):
    """One that watched a run which is over.

    Attributes:
        alerts, targets, ups: what it said of them while the run went on; of what was up, second by second.
        spans: the file of those that came until then; what is ended in the middle has other attributes.
    """

    alerts: list[dict[str, Any]]
    targets: list[dict[str, Any]]
    ups: list[dict[str, Any]]
    spans: Path


@contextmanager
def observed_run(folder: Path) -> Iterator[Prometheus]:
    """Run until the storm's alert fires; what was seen can be asked for within the block."""
    with ExitStack() as stays, ExitStack() as moves:
        yield _run(folder, stays, moves)


@contextmanager
def seen_run(folder: Path, enough: Callable[[Prometheus], bool]) -> Iterator[Seen]:
    """Run until what has been seen is enough, at most `DEADLINE_S` longer; then Prometheus alone runs."""
    with ExitStack() as stays, ExitStack() as moves:
        run = _run(folder, stays, moves)
        with suppress(AssertionError):  # what is missing is for the tests to say
            until("enough", lambda: enough(run), poll_s=LOOK_S)
        seen = Seen(
            run.url,
            run.start_s,
            folder,
            alerts=run.get("alerts")["alerts"],
            targets=run.get("targets")["activeTargets"],
            ups=run.lines("up"),
            spans=shutil.copy(folder / "work" / "capture" / "traces.raw", folder / "seen.raw"),
        )
        moves.close()
        yield seen


def _run(folder: Path, stays: ExitStack, moves: ExitStack) -> Prometheus:
    """Start the parts: on one stack what watches, on the other what moves."""
    ports = stays.enter_context(Ports())
    spans, page = f"{HOST}:{ports.reserve()}", f"{HOST}:{ports.reserve()}"
    moves.enter_context(_watch(folder, spans, page))
    fleet = moves.enter_context(LocalFleet(plan(folder, f"http://{spans}")))
    load = f"{HOST}:{ports.reserve()}"
    figures = moves.enter_context(_readable(folder))
    watched = stays.enter_context(prometheus(folder, _targets(fleet, figures, load, page)))
    moves.enter_context(_locust(folder, fleet.urls[0], load))
    moves.enter_context(_beside_the_balancer(fleet.containers[0].address))
    until("RetryAmplification firing", lambda: _fires(fleet, watched), 2 * DEADLINE_S, poll_s=LOOK_S)
    held = 'agentrig_observe_check{verdict="pass"} > 0'
    until("a window with a check that held", lambda: bool(watched.lines(held)), 3 * DEADLINE_S, poll_s=LOOK_S)
    return watched


def filled_in(expr: str, chosen: Mapping[str, str]) -> str:
    """Put in what was chosen for the variables."""
    for variable, value in chosen.items():
        expr = expr.replace(variable, value)
    return expr


def variables(run: Prometheus) -> dict[str, str]:
    """Return what Grafana would put in for each variable."""
    begun_s = run.lines(LOAD_BEGUN)[0]["values"][0][0]
    started_s = float(run.lines('process_start_time_seconds{job="agent"}')[0]["values"][0][1])
    return {
        "$__rate_interval": "10s",
        "$container": ".+",
        "$service": ".+",
        "$warm_after": f"{begun_s + YOUNG_S - started_s:.1f}",
    }


def _targets(fleet: LocalFleet, figures: str, load: str, page: str) -> dict[str, list[str]]:
    return {
        "agent": [container.address for container in fleet.containers],
        "simulator": [fleet.simulator.url.removeprefix("http://")],
        "envoy": [figures],
        "load": [load],
        "observe": [page],
    }


@contextmanager
def _readable(folder: Path) -> Iterator[str]:
    """Let the balancer's figures be read at a port, as in compose.yaml: its control is a Unix socket."""
    control = json.loads((folder / "work" / "envoy.json").read_text())["admin"]["address"]["pipe"]["path"]
    sockets, host = Path(control).parent, Path(control).name

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with control_client(DEADLINE_S, sockets=sockets) as client:
                answer = client.get(f"http://{host}{self.path}")
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers["content-type"])
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{HOST}:{server.server_port}"
        server.shutdown()


def _fires(fleet: LocalFleet, watched: Prometheus) -> bool:
    fleet.check()
    alerts = watched.get("alerts")["alerts"]
    return any(a["labels"]["alertname"] == "RetryAmplification" and a["state"] == "firing" for a in alerts)


@contextmanager
def _locust(folder: Path, host: str, page: str) -> Iterator[None]:
    argv = [
        *(sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles"), "BusyRouting", "--autostart"),
        *("--web-port", page.rpartition(":")[2], "--host", host, "--run-time", f"{LOAD_S}s"),
        *("--max-in-flight", str(IN_FLIGHT)),
    ]
    env = {"XDG_STATE_HOME": str(folder), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    child = Child("locust", argv, env, folder, CLOCK)
    child.start()
    try:
        yield
    finally:
        child.send(9)  # asked to stop, it would wait for all answers
        child.stop(0.0)


@contextmanager
def _watch(folder: Path, spans: str, page: str) -> Iterator[None]:
    """Judge what the fleet's spans tell, again and again."""
    argv = [
        *(sys.executable, "-m", "harness", "observe", f"otlp://{spans}", "--every", "5s", "--since", SINCE),
        *("--limits", LIMITS, "--metrics", page, "--out", str(folder / "watched")),
    ]
    child = Child("watch", argv, os.environ, folder, CLOCK)
    child.start()
    try:
        yield
    finally:
        child.stop(DEADLINE_S)


@contextmanager
def _beside_the_balancer(address: str) -> Iterator[None]:
    """Call one container directly, as a balancer that knows no busy signal would: it has to refuse."""
    over = threading.Event()

    def call() -> None:
        while not over.is_set():
            with suppress(httpx.HTTPError):
                HTTP.post(
                    f"http://{address}/invocations",
                    json={"prompt": "hi"},
                    timeout=DEADLINE_S,
                )
            over.wait(1.0)

    threads = [threading.Thread(target=call, daemon=True) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(DEADLINE_S)


def promtool(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the checker that comes with Prometheus."""
    return subprocess.run(
        ["promtool", *map(str, args)], capture_output=True, text=True, check=False, timeout=DEADLINE_S
    )
