"""What a plain Service with a probe of readiness costs against the gate: the figures of docs/readiness.md.

    python -m tests.bench.readiness --on local --out runs/readiness
    python -m tests.bench.readiness --on kubernetes --out runs/readiness
    python -m tests.bench.readiness --page --out runs/readiness

The same arrivals go to four containers that work on one request each, three ways: to a plain Service, whose
containers refuse what is too much, or let it wait inside; and to the gate. On Kubernetes the Service is real:
the kubelet probes `/readyz` once a second, and kube-proxy sends each connection to one of those that are
ready, by chance. Without a cluster Envoy does exactly that; on a cluster it is asked as well, to see whether.

Each way has one fleet, on which the loads follow one another. What has been measured is kept in `--out`, and
not measured again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

import httpx
from rich.console import Console

from harness.analysis.queueing import ALWAYS, central_waits
from harness.capture import decode
from harness.clock import Clock, SystemClock
from harness.contract import BUSY, SERVICE_AGENT
from harness.fleet.kubernetes.manifests import AGENT, PART_LABEL
from harness.fleet.kubernetes.place import Place
from harness.fleet.opening import opened
from harness.fleet.plan import FleetPlan
from harness.fleet.protocol import Fleet
from harness.fleet.where import Kind, Where
from harness.load.arrivals import plan
from harness.load.launcher import LoadChild, LoadJob
from harness.process.leftovers import FLEET_LABEL
from harness.quantiles import quantile
from harness.records.sent import Arrival, RequestRow
from harness.records.spec import AGENT_OVERHEAD_S, LoadSpec, Policy
from harness.run.arm import drive
from harness.run.folder import read_rows
from harness.simulator_config import Distribution, Latency, SimulatorConfig
from harness.under_test import RequestShape

AGENTS, LIMIT = 4, 1
UTILISATIONS: Final = (0.5, 0.8)
SEEDS: Final = (1, 2, 3)
SECONDS: Final = 30.0
LATENCY: Final = Latency(ttft=Distribution(median_s=0.2, p99_s=2.0), tokens=1)
"""Of a model call: the tail of an agent's work is long."""
TIMEOUT_S: Final = 30.0
SETTLE_S: Final = 3.0
"""Between two loads: the probes have seen by then that nobody is busy any more."""
REACHED_S: Final = 60.0
LATE_MS: Final = 5.0
"""A load whose p99 is sent later than that says more of the machine."""
SHARED: Final = 0.25
"""Of the cores, that others may keep busy."""
PAGE: Final = Path(__file__).parents[2] / "docs" / "readiness.md"
A_CONNECTION_EACH: Final = RequestShape(headers={"Connection": "close"})
"""kube-proxy picks for a connection: over one that is kept, all requests of a caller go to one container."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """A fleet and how it is asked.

    Attributes:
        name: in tables.
        policy: of its balancer.
        env: of its agents.
        service: whether a real Service is asked in place of the balancer.
    """

    name: str
    policy: Policy
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    service: bool = False


SERVICE, INSIDE, GATE, OPTIMUM = "Service", "Service, waits inside", "gate", "optimum"
BY_ENVOY: Final = "Service, by Envoy"
WAITS: Final = {"AGENT_CONTROLS": "queue-and-tell"}
"""At its limit a container takes the request and lets it wait, and `/readyz` says that it is busy."""


def ways(on: Where) -> tuple[Way, ...]:
    """Return the ways that are measured there."""
    real = on.kind is Kind.KUBERNETES
    first = Way(name=SERVICE, policy=Policy.READINESS, service=real)
    second = Way(name=INSIDE, policy=Policy.READINESS, env=WAITS, service=real)
    gate = Way(name=GATE, policy=Policy.BUSY_AWARE)
    imitated = (Way(name=BY_ENVOY, policy=Policy.READINESS),) if real else ()
    return (first, gate, second, *imitated)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came of one load.

    Attributes:
        way, utilisation, seed, on: which.
        requests: that were sent; answered: with success; refused: with 503, or no connection.
        failed: all others.
        took_ms: how long each success took, from when it was due.
        rps: successes a second.
        late_ms: p99 of how late the load sent.
        others: share of the cores that others kept busy.
    """

    on: str
    way: str
    utilisation: float
    seed: int
    requests: int
    answered: int
    refused: int
    failed: int
    took_ms: tuple[float, ...]
    rps: float
    late_ms: float
    others: float

    @property
    def doubt(self) -> str | None:
        """Say why it says more of the machine than of the way, None where it does not."""
        if self.late_ms > LATE_MS:
            return f"the load sent {self.late_ms:.0f} ms late at p99"
        if self.others > SHARED:
            return f"others kept {self.others:.0%} of the cores busy"
        return None


def capacity_rps() -> float:
    """Return what all containers can do together, about."""
    return AGENTS * LIMIT / (LATENCY.ttft.mean_s + AGENT_OVERHEAD_S)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is sent: the same to each way."""

    utilisation: float
    seed: int
    seconds: float

    @property
    def name(self) -> str:
        """Name it as a file may be called."""
        return f"load-{self.utilisation:g}-{self.seed}"

    def arrivals(self) -> tuple[Arrival, ...]:
        """Return the plan."""
        load = LoadSpec(rate_rps=round(self.utilisation * capacity_rps(), 3), duration_s=self.seconds)
        return plan(load, self.seed, "readiness")


REFUSED: Final = 503
NO_CONNECTION: Final = "ConnectionRefusedError"
"""What a Service without a ready container gives."""


def seen(rows: Sequence[RequestRow], load: Load, *, on: str, way: str, others: float) -> Measured:
    """Return the figures of a load's rows."""
    good = sorted(round(row.latency_s * 1000, 2) for row in rows if row.ok)
    refused = sum(row.status == REFUSED or row.error_type == NO_CONNECTION for row in rows if not row.ok)
    length_s = max(row.end_s for row in rows) - min(row.due_s for row in rows)
    lateness = sorted(row.lateness_s * 1000 for row in rows)
    return Measured(
        on=on,
        way=way,
        utilisation=load.utilisation,
        seed=load.seed,
        requests=len(rows),
        answered=len(good),
        refused=refused,
        failed=len(rows) - len(good) - refused,
        took_ms=tuple(good),
        rps=len(good) / length_s,
        late_ms=quantile(lateness, 0.99) or 0.0,
        others=others,
    )


def at_best(rows: Sequence[RequestRow], service_s: Mapping[str, float], of: Measured) -> Measured | None:
    """Return what one central queue makes of a load that the gate answered; None where services are missing.

    Args:
        rows: of the load.
        service_s: by trace, how long a container worked.
        of: what was measured of it.
    """
    due = sorted((row for row in rows if row.trace_id in service_s), key=lambda row: row.due_s)
    if len(due) < len(rows):
        return None
    held_s = [service_s[row.trace_id] for row in due]
    waits_s = central_waits([row.due_s for row in due], held_s, [ALWAYS] * (AGENTS * LIMIT))
    took_s = [wait + held for wait, held in zip(waits_s, held_s, strict=True)]
    ends_s = [row.due_s + took for row, took in zip(due, took_s, strict=True)]
    return dataclasses.replace(
        of,
        way=OPTIMUM,
        answered=len(due),
        refused=0,
        failed=0,
        took_ms=tuple(sorted(round(1000 * took, 2) for took in took_s)),
        rps=len(due) / (max(ends_s) - due[0].due_s),
    )


# --- measuring -------------------------------------------------------------------------
def fleet_plan(way: Way, work: Path) -> FleetPlan:
    """Return what runs for a way."""
    return FleetPlan(
        experiment="readiness",
        arm=way.name.replace(" ", "-").replace(",", ""),
        agents=AGENTS,
        concurrency_limit=LIMIT,
        policy=way.policy,
        queue_limit=10_000,
        simulator=SimulatorConfig(latency=LATENCY),
        mcp_handshake_s=0.0,
        env=way.env,
        work_dir=work / "fleet",
        log_dir=work / "logs",
        forward_url=None,
    )


def measure(way: Way, on: Where, wanted: Sequence[Load], keep: Callable[[Measured], None]) -> None:
    """Start a way's fleet, send it the loads that are wanted, and keep what came of each."""
    clock, console = SystemClock(), Console(stderr=True, highlight=False)
    sent: list[tuple[list[RequestRow], Measured]] = []
    with tempfile.TemporaryDirectory(prefix="agentrig-readiness-") as scratch:
        work = Path(scratch)
        fleet = opened(fleet_plan(way, work), on, clock=clock, on_phase=console.print)
        with fleet:
            url = asked_at(fleet, way)
            for load in wanted:
                wait_ready(url, fleet, clock)
                rows, others = one_load(fleet, way, url, load, work)
                found = seen(rows, load, on=on.kind.value, way=way.name, others=others)
                refused = f"{found.refused / found.requests:.0%} refused"
                console.print(
                    f"{way.name}, {load.name}: {found.requests} requests, {refused}; {found.doubt or ''}"
                )
                keep(found)
                sent.append((rows, found))
        if way.name == GATE:
            service_s = services(fleet.traces_raw)
            for rows, found in sent:
                if (best := at_best(rows, service_s, found)) is not None:
                    keep(best)


def one_load(fleet: Fleet, way: Way, url: str, load: Load, work: Path) -> tuple[list[RequestRow], float]:
    """Send a load; return its rows, and which share of the cores others kept busy meanwhile."""
    clock, folder = SystemClock(), work / load.name
    folder.mkdir()
    fleet.simulator.tell("PATCH", "/sim/config", json={"seed": load.seed})
    job = LoadJob(
        hosts=(url,),
        experiment="readiness",
        arm=f"{way.name}-{load.name}",
        run_id="readiness",
        arrivals=load.arrivals(),
        timeout_s=TIMEOUT_S,
        max_in_flight=1000,
        request=A_CONNECTION_EACH if way.policy is Policy.READINESS else RequestShape(),
        work_dir=folder,
        log=work / "logs" / "locust.log",
    )
    with LoadChild(job, clock=clock) as child:
        child.start()
        driven = drive(fleet, child, clock, watch=fleet.step)
        result = child.wait()
    cores = len(os.sched_getaffinity(0))
    return list(read_rows(result.rows, RequestRow)), driven.others_cores / cores


def services(traces_raw: Path) -> dict[str, float]:
    """Return by trace how long a container worked on it; a refusal is no work."""
    spans = decode.spans(decode.otlp_json_lines(traces_raw))
    of_agents = (span for span in spans if span.kind == "server" and span.service == SERVICE_AGENT)
    return {span.trace_id: span.duration_s for span in of_agents if not span.attributes.get(BUSY)}


def asked_at(fleet: Fleet, way: Way) -> str:
    """Return where a way is asked: at its balancer, or at a Service that is made for it."""
    return service(fleet._place) if way.service else fleet.urls[0]  # type: ignore[attr-defined]  # pods have one


def service(place: Place) -> str:
    """Make a Service over the agents of a fleet, which goes with it; return its address at the node."""
    made = place.cluster.call(
        "POST",
        f"/api/v1/namespaces/{place.namespace}/services",
        json={
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "agents"},
            "spec": {
                "type": "NodePort",
                "selector": {FLEET_LABEL: place.name, PART_LABEL: AGENT},
                "ports": [{"port": 80, "targetPort": "http"}],
            },
        },
    )
    state = place.state("agent-1")
    if state is None:
        sys.exit("the first pod is gone: who deletes it?")
    return f"http://{state.host}:{made['spec']['ports'][0]['nodePort']}"


def wait_ready(url: str, fleet: Fleet, clock: Clock) -> None:
    """Wait until all that a load before has left is over, and somebody answers."""
    end_s = clock.monotonic() + REACHED_S
    quiet_s = clock.monotonic() + SETTLE_S
    with httpx.Client(timeout=5.0, trust_env=False, headers={"connection": "close"}) as client:
        while True:
            fleet.check()
            try:
                ready = client.get(f"{url}/readyz").status_code == httpx.codes.OK
            except httpx.TransportError:
                ready = False
            if ready and clock.monotonic() >= quiet_s:
                return
            if clock.monotonic() > end_s:
                sys.exit(f"{url}: nobody is ready after {REACHED_S:g} s")
            clock.sleep(0.2)


# --- the page --------------------------------------------------------------------------
def read(out: Path) -> list[Measured]:
    """Return what was measured."""
    file = out / "readiness.jsonl"
    if not file.exists():
        return []
    records = map(json.loads, file.read_text("utf-8").splitlines())
    return [Measured(**{**record, "took_ms": tuple(record["took_ms"])}) for record in records]


def table(found: Sequence[Measured], on: str) -> list[str]:
    """Return the table of a place: a row for each way and utilisation, over its seeds."""
    lines = [
        "| load | way | answered | 503 or no connection | p50 | p99 of the answered | of all | answers/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    order = (SERVICE, BY_ENVOY, INSIDE, GATE, OPTIMUM)
    for utilisation in UTILISATIONS:
        for way in order:
            runs = [m for m in found if (m.on, m.way, m.utilisation) == (on, way, utilisation)]
            if runs:
                lines.append(row_of(utilisation, way, runs))
    return lines


def row_of(utilisation: float, way: str, runs: Sequence[Measured]) -> str:
    """Return a row: of all its seeds together, and in brackets the least and the most of one."""
    took_ms = sorted(took for each in runs for took in each.took_ms)
    of_all = math.ceil(0.99 * sum(each.requests for each in runs)) - 1
    cells = (
        f"{utilisation:.0%}",
        f"**{way}**" if way == GATE else way,
        spread([each.answered / each.requests for each in runs], "{:.1%}"),
        spread([each.refused / each.requests for each in runs], "{:.1%}"),
        spread([quantile(each.took_ms, 0.5) for each in runs], "{:.0f} ms", quantile(took_ms, 0.5)),
        spread([quantile(each.took_ms, 0.99) for each in runs], "{:.0f} ms", quantile(took_ms, 0.99)),
        f"{took_ms[of_all]:.0f} ms" if of_all < len(took_ms) else "none",
        spread([each.rps for each in runs], "{:.2f}"),
    )
    return "| " + " | ".join(cells) + " |"


def spread(values: Sequence[float | None], form: str, whole: float | None = None) -> str:
    """Return a figure of all seeds together, by default the median of theirs, with the least and the most."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return "-" if whole is None else form.format(whole)
    shown = form.format(median(known) if whole is None else whole)
    ends = form.format(min(known)), form.format(max(known))
    return shown if ends[0] == ends[1] else f"{shown} ({ends[0]} to {ends[1]})"


def page(found: Sequence[Measured], words: str) -> str:
    """Return the page: tables first, then `words`, which say how it was measured and what follows."""
    titles = {
        "kubernetes": "On a cluster, with a real Service",
        "local": "On this machine alone, where Envoy does what a Service does",
    }
    parts = ["# What a plain Service with a probe of readiness costs"]
    for on, title in titles.items():
        of_place = [each for each in found if each.on == on]
        if not of_place:
            continue
        parts.append(f"## {title}\n\n" + "\n".join(table(found, on)))
        doubts = [
            f"{each.way} at {each.utilisation:.0%}, seed {each.seed}: {each.doubt}"
            for each in of_place
            if each.doubt and each.way != OPTIMUM
        ]
        if doubts:
            parts.append(f"In doubt, as the machine was in the way: {'; '.join(doubts)}.")
    return "\n\n".join([*parts, words.strip()]) + "\n"


WORDS: Final = Path(__file__).with_name("readiness.words.md")


def main() -> None:
    """Measure what is missing, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--on", type=Where.parse, default=Where.LOCAL)
    parser.add_argument("--out", type=Path, default=Path("runs/readiness"))
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load")
    parser.add_argument("--page", action="store_true", help="measure nothing, write docs/readiness.md")
    asked = parser.parse_args()
    if asked.page:
        PAGE.write_text(page(read(asked.out), WORDS.read_text("utf-8")), "utf-8")
        return
    asked.out.mkdir(parents=True, exist_ok=True)
    file = asked.out / "readiness.jsonl"

    def keep(found: Measured) -> None:
        with file.open("a", encoding="utf-8") as kept:
            kept.write(json.dumps(asdict(found)) + "\n")

    done = {(each.on, each.way, each.utilisation, each.seed) for each in read(asked.out)}
    for way in ways(asked.on):
        loads = [
            Load(utilisation=utilisation, seed=seed, seconds=asked.seconds)
            for seed in SEEDS  # all utilisations of a seed first: stopped early, each has as many
            for utilisation in UTILISATIONS
        ]
        wanted = [
            load for load in loads if (asked.on.kind.value, way.name, load.utilisation, load.seed) not in done
        ]
        if wanted:
            begun_s = time.monotonic()
            measure(way, asked.on, wanted, keep)
            Console(stderr=True).print(f"{way.name}: {time.monotonic() - begun_s:.0f} s")


if __name__ == "__main__":
    main()
