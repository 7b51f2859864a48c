"""`agentrig up`: a fleet that is held up for hand-driven load, with a live table of its containers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.live import Live
from rich.table import Table

from harness.asking.described import find
from harness.clock import Clock, SystemClock
from harness.commands.console import (
    JaegerUrl,
    OnWhere,
    OtlpUrl,
    OwnAgentFile,
    jaeger_addresses,
    otlp_address,
    out,
)
from harness.fleet import installed
from harness.fleet.opening import opened, placed, require
from harness.fleet.plan import START_DEADLINE_S, FleetPlan
from harness.fleet.policies import Picks
from harness.fleet.protocol import Fleet
from harness.fleet.where import Where
from harness.outside.http import control_client
from harness.own.config import read as read_agent
from harness.process.guard import scratch_folder
from harness.records import up_state
from harness.records.setup import Container
from harness.records.spec import Policy
from harness.records.up_state import UpState
from harness.simulator_config import Distribution, Latency, SimulatorConfig
from harness.traces.pages import Pages
from harness.traces.server import listen, serving
from harness.traces.store import of_capture
from harness.under_test import AgentUnderTest, RequestShape

REFRESH_S = 1.0
SCRAPE_S = 1.0
COLUMNS = {
    "in flight": "agentrig_inflight",
    "limit": "agentrig_inflight_limit",
    "busy": "agentrig_busy",
    "served": "http_server_request_duration_seconds_count",
    "rejected": "agentrig_rejections_total",
    "retries": 'agentrig_client_attempts_total{outcome="retried"}',
}
Fetch = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpPlan:
    """What is to be held up.

    Attributes:
        agents: how many containers.
        concurrency_limit: requests that each works on at once.
        policy: the balancer's.
        picks: how it picks a container in place of that policy's way.
        log_dir: gets the logs.
        own: a user's own agent, None for the reference agent.
        on: where the containers run.
        jaeger_url, forward_url: addresses of Jaeger's page and of its OTLP receiver.
        state_file: tells a second terminal where the fleet is.
    """

    agents: int
    concurrency_limit: int
    policy: Policy
    log_dir: Path
    jaeger_url: str | None
    forward_url: str | None
    state_file: Path
    own: AgentUnderTest | None = None
    on: Where = Where.LOCAL
    picks: Picks | None = None


def hold_up(plan: UpPlan, console: Console, clock: Clock) -> None:
    """Hold a fleet up until interrupted.

    Raises:
        AgentrigError: a process could not be started, or died.
    """
    with scratch_folder("up") as work:
        fleet_plan = FleetPlan(
            experiment="up",
            arm="by-hand",
            agents=plan.agents,
            concurrency_limit=plan.concurrency_limit,
            policy=plan.policy,
            picks=plan.picks,
            queue_limit=10_000,
            simulator=SimulatorConfig(
                tool_turns=1,
                latency=Latency(ttft=Distribution(median_s=0.1, p99_s=1.0), itl=Distribution(median_s=0.005)),
            ),
            mcp_handshake_s=0.05,
            env={},
            work_dir=work,
            log_dir=plan.log_dir,
            forward_url=plan.forward_url,
            under_test=plan.own,
            start_deadline_s=plan.own.start_deadline_s if plan.own else START_DEADLINE_S,
        )
        with (
            opened(
                fleet_plan,
                plan.on,
                clock=clock,
                on_phase=lambda text: console.print(text, style="dim", markup=False),
            ) as fleet,
            listen() as listening,
            serving(Pages(of_capture(fleet.traces_raw), "of the fleet that is up"), listening) as traces_url,
        ):
            state = UpState(
                pid=os.getpid(),
                url=fleet.urls[0],
                simulator_url=fleet.simulator.url,
                simulator_token=fleet.simulator.token,
                containers=fleet.containers,
                jaeger_url=plan.jaeger_url,
                otlp_url=fleet.capture_url,
                traces_url=traces_url,
                request=plan.own.request if plan.own else None,
            )
            up_state.write(state, plan.state_file, work)
            try:
                console.print(addresses(state, plan.log_dir), highlight=False, soft_wrap=True)
                _watch(fleet, console, clock)
            finally:
                plan.state_file.unlink(missing_ok=True)


def addresses(state: UpState, log_dir: Path) -> str:
    """Say where everything is, and what to type next."""
    lines = [
        f"service    {state.url}  ({asked(state.request)})",
        f"simulator  {state.simulator_url}/sim/docs  (quota, faults, journal)",
        f"logs       {log_dir}",
    ]
    if state.traces_url:
        lines.append(f"traces     {state.traces_url}  (search, one trace, two compared)")
    if state.jaeger_url:
        lines.append(f"Jaeger     {state.jaeger_url}")
    return "\n".join([*lines, "", "In a second terminal: locust -f locustfiles", "Ctrl-C here stops all."])


def asked(request: RequestShape | None) -> str:
    """Say how the service is asked."""
    if request is None:
        return "POST /invocations, GET /ping"
    return f"{request.request.method} {request.request.path}"


def _watch(fleet: Fleet, console: Console, clock: Clock) -> None:
    with (
        control_client(SCRAPE_S) as http,
        Live(console=console, auto_refresh=False) as live,
    ):
        while True:
            fleet.check()
            rows = {each: read(each, lambda url: http.get(url).text) for each in fleet.containers}
            if console.is_terminal:
                live.update(table(rows), refresh=True)
            clock.sleep(REFRESH_S)


def read(container: Container, fetch: Fetch) -> dict[str, float] | None:
    """Return the figures of one container by column; None when it doesn't tell."""
    try:
        text = fetch(f"http://{container.reached_at}/metrics")
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    except (httpx.HTTPError, ValueError):
        return None
    figures = dict.fromkeys(COLUMNS, 0.0)
    for sample in samples:
        labelled = f'{sample.name}{{outcome="{sample.labels.get("outcome")}"}}'
        for column, wanted in COLUMNS.items():
            if wanted in {sample.name, labelled}:
                figures[column] += sample.value
    return figures


def table(rows: Mapping[Container, Mapping[str, float] | None]) -> Table:
    """Draw the containers."""
    drawn = Table(box=None, pad_edge=False)
    drawn.add_column("container")
    drawn.add_column("address")
    for column in COLUMNS:
        drawn.add_column(column, justify="right")
    for container, figures in rows.items():
        cells = ["?"] * len(COLUMNS) if figures is None else [f"{figures[c]:.0f}" for c in COLUMNS]
        drawn.add_row(container.name, container.address, *cells)
    return drawn


def up(
    *,
    agents: Annotated[int, typer.Option(metavar="N", min=1, max=32, help="How many containers.")] = 4,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=1000,
            help="Requests that each works on at once; 16, or what agentrig.toml says.",
        ),
    ] = None,
    policy: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            help=f"How the balancer picks one: {', '.join(Policy)}; or one that a package adds.",
            autocompletion=lambda incomplete: [name for name in Policy if name.startswith(incomplete)],
        ),
    ] = Policy.BUSY_AWARE.value,
    agent: OwnAgentFile = None,
    on: OnWhere = Where.LOCAL,
    jaeger: JaegerUrl = None,
    otlp: OtlpUrl = None,
    logs: Annotated[Path, typer.Option(metavar="DIR", help="For the logs.")] = Path("runs/up/logs"),
) -> None:
    """Hold a fleet up for load by hand; your own, where agentrig.toml is.

    Then, in a second terminal: `locust -f locustfiles`. Ctrl-C ends it.

    Example: `agentrig up --agents 8 --limit 1`
    """
    page, of_jaeger = jaeger_addresses(jaeger)
    forward_url = otlp_address(otlp, of_jaeger)
    file = agent or find(Path())
    own = placed(read_agent(file).under_test(file.parent), on) if file else None
    require(on, "up", None, own)
    if own is not None and own.addresses:
        agents = len(own.addresses)
    limit = limit or (own.concurrency_limit if own else 16)
    plan = UpPlan(
        own=own,
        on=on,
        agents=agents,
        concurrency_limit=limit,
        policy=installed.like(policy),
        picks=installed.picks(policy, agents=agents, concurrency_limit=limit),
        log_dir=logs,
        jaeger_url=page,
        forward_url=forward_url,
        state_file=up_state.default_file(),
    )
    hold_up(plan, out, SystemClock())
