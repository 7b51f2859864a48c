"""Drives one fleet: plans it, lets a load run against it to its end, and keeps what was seen.

An arm of an experiment and a side of the gate are driven by the same few functions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.capture import decode
from harness.clock import Clock
from harness.contract import HANDSHAKES, HANDSHAKES_PATH, SERVICE_MCP
from harness.errors import StartError
from harness.fleet import installed
from harness.fleet.plan import START_DEADLINE_S, FleetPlan
from harness.fleet.protocol import Fleet
from harness.load.launcher import LoadChild, LoadProgress
from harness.load.spans import client_spans
from harness.machine import cores_taken, cpu_time, others_cores
from harness.outside.http import tell, told_by
from harness.outside.text import shown
from harness.records.history import ArmData
from harness.records.seen import JournalRow, MetricPoint
from harness.records.sent import RequestRow
from harness.records.setup import ArmFacts, ProcessUsage
from harness.records.spec import FleetSpec
from harness.run import folder as run_folder
from harness.run.folder import RunFolder
from harness.simulator_config import SimulatorConfig
from harness.under_test import AgentUnderTest

BEGIN_IN_S: Final = 0.3
"""The load begins so long after it was told to: both sides know the instant beforehand."""
POLL_S: Final = 0.1
SPANS_AT_ONCE: Final = 2000
"""That one request brings to the capture, which takes none that is too large."""
LAST_LINES: Final = 4
LONGEST_LINE: Final = 200
"""Of a container's log: what a sentence of the report can show."""
LOAD: Final = "locust"
"""What the load's process is called among the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What a load cost.

    Attributes:
        start_s: when it began, in Unix seconds; due times count from here.
        usage: CPU and memory of each process.
        others_cores: how many of the cores that the run could use others kept busy.
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
        AgentrigError: a process died or stands still, or the load hangs.
    """
    before, machine_before = {**fleet.usage(), LOAD: load.usage()}, cpu_time(clock.monotonic)
    start_s = clock.now() + BEGIN_IN_S
    reset = {"start_s": start_s}
    try:
        fleet.simulator.tell("POST", "/sim/reset", json=reset)
    except StartError:
        watch()  # one that has died tells more
        raise
    load.begin(start_s)
    fleet.begin(start_s)
    while load.poll() is None:
        watch()
        progress(load.progress(), clock.now() - start_s)
        clock.sleep(POLL_S)
    fleet.check(still_s=0.0)  # what one that stands still did not answer is nobody's fault
    after, machine_after = {**fleet.usage(), LOAD: load.usage()}, cpu_time(clock.monotonic)
    wall_s = clock.now() - start_s
    usage = tuple(
        ProcessUsage(name=name, cpu_s=cpu_s - before.get(name, (0.0, 0.0))[0], wall_s=wall_s, rss_mb=rss_mb)
        for name, (cpu_s, rss_mb) in after.items()
    )
    others = others_cores(machine_before, machine_after, sum(each.cpu_s for each in usage))
    return Driven(start_s=start_s, usage=usage, others_cores=cores_taken(others))


def fleet_plan(
    experiment: str,
    arm: str,
    fleet: FleetSpec,
    simulator: SimulatorConfig,
    *,
    env: Mapping[str, str],
    own: AgentUnderTest | None,
    agent_command: tuple[str, ...] | None,
    work: Path,
    logs: Path,
    seed: int = 1,
    forward_url: str | None = None,
    run_id: str = "",
) -> FleetPlan:
    """Return what is to run for an arm of an experiment, or for a side of the gate.

    Args:
        experiment: what all telemetry is marked with, and `arm`.
        arm: see there.
        fleet: as it was asked for.
        simulator: what the model API simulator is told.
        env: of the agents, whole.
        own: a user's own agent, None for the reference agent.
        agent_command: what starts an agent in place of the reference agent's own command.
        work: for the fleet's files.
        logs: for what each process prints.
        seed: which containers its events happen to.
        forward_url: OTLP/HTTP receiver that gets a copy of all telemetry.
        run_id: of the run that it is for.

    Raises:
        InputError: there is no such policy, or the package that adds it is broken.
    """
    return FleetPlan(
        experiment=experiment,
        arm=arm,
        agents=fleet.agents,
        concurrency_limit=fleet.concurrency_limit,
        policy=installed.like(fleet.policy),
        picks=installed.picks(
            fleet.policy,
            agents=fleet.agents,
            concurrency_limit=fleet.concurrency_limit,
            balancers=fleet.balancers,
        ),
        balancers=fleet.balancers,
        queue_limit=fleet.queue_limit,
        retry_resets=fleet.retry_resets,
        simulator=simulator,
        mcp_handshake_s=fleet.mcp_handshake_s,
        env=env,
        events=fleet.events,
        autoscale=fleet.autoscale,
        seed=seed,
        work_dir=work,
        log_dir=logs,
        forward_url=forward_url,
        agent_command=agent_command,
        under_test=own,
        start_deadline_s=own.start_deadline_s if own else START_DEADLINE_S,
        store=fleet.store,
        restored=fleet.restored,
        weather=fleet.weather,
        tool_servers=fleet.tool_servers,
        run_id=run_id,
    )


def hand_in_client_spans(fleet: Fleet, rows: Sequence[RequestRow]) -> None:
    """Give the capture the client's own spans, while it is still up."""
    names = {container.address: container.name for container in fleet.containers}
    for begin in range(0, len(rows), SPANS_AT_ONCE):
        tell(
            "POST",
            f"{fleet.capture_url}/v1/traces",
            content=client_spans(rows[begin : begin + SPANS_AT_ONCE], names),
            headers={"content-type": "application/x-protobuf"},
        )


def handshakes(fleet: Fleet, experiment: str, arm: str, clock: Clock) -> MetricPoint:
    """Ask the tool server, while it is still up, how many sessions were opened with it."""
    opened = float(told_by(f"{fleet.tools_url}{HANDSHAKES_PATH}")["handshakes"])
    return MetricPoint(
        experiment=experiment,
        arm=arm,
        time_s=clock.now(),
        source=SERVICE_MCP,
        name=HANDSHAKES,
        value=opened,
    )


def unserved(fleet: Fleet) -> Mapping[str, int]:
    """Return the requests that the simulator got at paths it does not serve, while it is still up."""
    counts: Mapping[str, int] = fleet.simulator.told("/sim/stats")["unserved"]
    return counts


def log_ends(fleet: Fleet) -> dict[str, tuple[str, ...]]:
    """Return the last lines of each container's log."""
    told = {each.name: fleet.log_of(each.name)[1] for each in fleet.containers}
    return {
        name: tuple(shown(line[:LONGEST_LINE]) for line in lines[-LAST_LINES:])
        for name, lines in told.items()
        if lines
    }


def keep(
    folder: RunFolder,
    facts: ArmFacts,
    fleet: Fleet,
    rows: Sequence[RequestRow],
    *,
    metrics: Sequence[MetricPoint] = (),
    only: Collection[str] | None = None,
) -> ArmData:
    """Put what was seen of a fleet that has stopped into the run folder, beside its requests.

    Args:
        folder: the run's.
        facts: what was set up.
        fleet: that it was.
        rows: its requests, which are in the folder already.
        metrics: what was scraped.
        only: the trace ids that count, None for all: others were warm-up.
    """
    labels = {"agentrig.experiment": facts.experiment, "agentrig.arm": facts.arm}
    received = run_folder.read_rows(fleet.journal, JournalRow, left_out=folder.left_out)
    journal = tuple(row for row in received if only is None or row.trace_id in only)
    folder.append_rows(run_folder.JOURNAL, journal)
    folder.append_rows(run_folder.METRICS, metrics)
    folder.append_rows(run_folder.ARMS, [facts])  # the spans come last: they are what others wrote
    lines = tuple(decode.otlp_json_lines(fleet.traces_raw, extra_resource=labels, left_out=folder.left_out))
    folder.append(run_folder.SPANS, lines)
    spans = tuple(span for span in decode.spans(lines) if only is None or span.trace_id in only)
    return ArmData(facts=facts, requests=tuple(rows), spans=spans, journal=journal, metrics=tuple(metrics))
