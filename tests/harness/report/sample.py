"""A run of the three catalogue experiments as it would look: seeded, and without any process.

`python -m tests.harness.report.sample PAGE.html` writes its page, to be looked at.
"""

import math
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

from harness.analysis.occupancy import overlaps
from harness.records.outcome import ArmSeries, ArmSummary, CheckResult, ExperimentResult, Outcome, RunResult
from harness.records.seen import Span, SpanEvent
from harness.records.setup import Window
from harness.report.html import to_html

BEGIN_S = 1_790_000_000.0
Served = tuple[float, float, float, int]
"""Due, begin and end of the work in seconds since the load began, and the container's number."""


def run(requests: int = 800) -> tuple[RunResult, dict[tuple[str, str], ArmSeries]]:
    """Make a run whose three claims hold.

    Args:
        requests: of each arm of busy-routing, the largest experiment.
    """
    experiments, series = [], {}
    for experiment, drawn in (cold_start(), busy_routing(requests), throttling()):
        experiments.append(experiment)
        series |= {(experiment.name, arm): of_arm for arm, of_arm in drawn.items()}
    result = RunResult(
        run_id="20260921-141320-5f3a",
        verdict=Outcome.PASS,
        started_s=BEGIN_S,
        duration_s=252.4,
        quick=True,
        experiments=tuple(experiments),
        version="0.1.0",
        jaeger_url="http://localhost:16686",
    )
    return result, series


def fallen() -> tuple[RunResult, dict[tuple[str, str], ArmSeries]]:
    """Make a run in which one claim falls short, one is unknown, and one check could not be made."""
    result, series = run()
    cold, busy, throttled = result.experiments
    short = replace(
        busy.checks[1],
        verdict=Outcome.FAIL,
        observed=1.23,
        message="p99 is 1.23 times that of one central queue, limit 1.10: requests wait while a container "
        "idles. Answer 503 at the limit and let the balancer hold what no container has a slot for.",
    )
    silent = replace(
        throttled.checks[4],
        verdict=Outcome.UNKNOWN,
        observed=None,
        message="no call was retried, so there is no herd to look for. Raise the faults' probability.",
        traces=(),
    )
    unseen = replace(
        cold.checks[6],
        verdict=Outcome.NOT_MADE,
        observed=None,
        message="no span says what ran in the container: let the agent emit its spans to see it.",
        cases=None,
    )
    experiments = (
        replace(cold, checks=(*cold.checks[:6], unseen, *cold.checks[7:])),
        replace(busy, verdict=Outcome.FAIL, checks=(busy.checks[0], short, *busy.checks[2:])),
        replace(
            throttled,
            verdict=Outcome.UNKNOWN,
            checks=(*throttled.checks[:4], silent, *throttled.checks[5:]),
        ),
    )
    return replace(result, verdict=Outcome.FAIL, experiments=experiments), series


# --- the three experiments -------------------------------------------------------------
def cold_start() -> tuple[ExperimentResult, dict[str, ArmSeries]]:
    rng = random.Random(11)
    due = [0.0] * 24 + arrivals(rng, 112, 8.0, 2.0)
    work = [rng.lognormvariate(-2.9, 0.25) for _ in due]
    cached = by_turns(due, [w + (0.21 if i < 24 else 0) for i, w in enumerate(work)], 2, slots=32)
    rebuilt = by_turns(
        due, [w + rng.uniform(0.12, 0.2) + (0.5 if i < 24 else 0) for i, w in enumerate(work)], 2, slots=32
    )
    checks = (
        check("no-errors", "cached", 0, 0, "{request}", "136 of 136 requests were answered."),
        check("init-once", "cached", 1, 1, "{init}", "Each client was built once per container.", 1),
        check(
            "init-once",
            "per-request",
            136,
            1,
            "{init}",
            "caught, as it must be: clients are built per request.",
            4,
            control=True,
        ),
        check("connections-bounded", "cached", 24, 64, "{connection}", "24 connections for 272 model calls."),
        check(
            "connections-bounded",
            "per-request",
            272,
            64,
            "{connection}",
            "caught, as it must be: 272 connections.",
            control=True,
        ),
        check("fresh-agent", "cached", 0, 0, "{leak}", "No answer held words of another session."),
        check("spans-complete", "cached", 1.0, 1.0, "1", "Every request has its whole trace."),
        check("spans-complete", "per-request", 1.0, 1.0, "1", "Every request has its whole trace."),
        check("p99-ratio", "cached", 0.42, 0.9, "1", "p99 is 0.42 times that of per-request."),
    )
    experiment = ExperimentResult(
        name="cold-start",
        title="Client cache",
        claim="LLM and MCP clients are built exactly once per container, also when the first requests "
        "arrive together; nobody after the first pays for it.",
        verdict=Outcome.PASS,
        arms={
            "cached": summarise(
                cached,
                control=False,
                client_inits={"openai": 2, "mcp": 2},
                connections=24,
                cold_p99_ms=p(served_s(cached[:24]), 0.99) * 1000,
                warm_p99_ms=p(served_s(cached[24:]), 0.99) * 1000,
            ),
            "per-request": summarise(
                rebuilt,
                control=True,
                client_inits={"openai": 136, "mcp": 136},
                connections=272,
                cold_p99_ms=p(served_s(rebuilt), 0.99) * 1000,
            ),
        },
        checks=checks,
    )
    drawn = {
        "cached": drawn_of(cached, "1", 3, attempts=calls(due, rng)),
        "per-request": drawn_of(rebuilt, "4", 3, attempts=calls(due, rng)),
    }
    return experiment, drawn


def busy_routing(requests: int) -> tuple[ExperimentResult, dict[str, ArmSeries]]:
    rng = random.Random(7)
    due = arrivals(rng, requests, 16.0, 0.0)
    work = [rng.lognormvariate(-2.1, 0.95) + 0.01 for _ in due]
    optimum = central(due, work, 4)
    aware = central(due, [w * 1.01 + 0.002 for w in work], 4)
    blind = by_turns(due, work, 4, slots=1)
    best = [end - at for at, _, end, _ in optimum]
    over = {
        name: p(served_s(rows), 0.99) / p(best, 0.99) for name, rows in (("aware", aware), ("blind", blind))
    }
    checks = (
        check(
            "no-errors", "busy-aware", 0, 0, "{request}", f"{requests} of {requests} requests were answered."
        ),
        check(
            "p99-over-optimum", "busy-aware", over["aware"], 1.1, "1", "p99 is that of one central queue.", 1
        ),
        check(
            "p99-over-optimum",
            "blind",
            over["blind"],
            1.35,
            "1",
            "caught, as it must be: requests wait while containers idle.",
            5,
            control=True,
        ),
        check(
            "idle-while-waiting",
            "busy-aware",
            0.004,
            0.02,
            "1",
            "Hardly a container idled while a request waited.",
        ),
        check(
            "idle-while-waiting",
            "blind",
            0.31,
            0.02,
            "1",
            "caught, as it must be: 31 % of container time.",
            2,
            control=True,
        ),
        check(
            "inflight-limit", "busy-aware", 1, 1, "{request}", "No container worked on more than its limit."
        ),
        check("spans-complete", "busy-aware", 1.0, 1.0, "1", "Every request has its whole trace."),
    )
    experiment = ExperimentResult(
        name="busy-routing",
        title="Busy signal",
        claim="With a busy signal, requests go to idle containers: the tail is that of one central queue. "
        "A balancer that sees liveness only lets requests wait behind long ones while neighbours idle.",
        verdict=Outcome.PASS,
        arms={
            "busy-aware": summarise(
                aware,
                control=False,
                optimum_p99_ms=p(best, 0.99) * 1000,
                p99_over_optimum=over["aware"],
                idle_while_waiting_s=0.4,
            ),
            "blind": summarise(
                blind,
                control=True,
                optimum_p99_ms=p(best, 0.99) * 1000,
                p99_over_optimum=over["blind"],
                idle_while_waiting_s=38.2,
                warnings=("the load was late: p99 of its lateness is 22 ms",),
            ),
        },
        checks=checks,
    )
    drawn = {
        "busy-aware": drawn_of(aware, "2", 2, optimum=best, attempts=calls(due, rng), limit=1),
        "blind": drawn_of(blind, "5", 6, optimum=best, attempts=calls(due, rng), limit=1),
    }
    return experiment, drawn


def throttling() -> tuple[ExperimentResult, dict[str, ArmSeries]]:
    rng = random.Random(23)
    due = arrivals(rng, 600, 30.0, 0.0)
    arms, drawn = {}, {}
    for name, control, spread in (("reference", False, 2.5), ("no-jitter", True, 0.02)):
        attempts, rows = [], []
        for number, at in enumerate(due):
            out = 4 <= at < 8
            again = 8.0 + rng.uniform(0, spread) if out else at + 1 + rng.uniform(0, spread)
            first = "overloaded" if out else rng.choices(("ok", "rate_limit_requests", "auth"), (90, 8, 2))[0]
            attempts.append((at, 1, first))
            end = at + rng.uniform(0.05, 0.09)
            if first in {"overloaded", "rate_limit_requests"}:
                attempts.append((again, 2, "ok"))
                end = again + rng.uniform(0.05, 0.09)
            rows.append((at, at + 0.002, end, number % 4))
        arms[name] = summarise(
            rows,
            control=control,
            errors=12,
            model_calls=600,
            model_attempts=len(attempts),
            amplification=len(attempts) / 600,
            herd_share=0.64 if control else 0.07,
        )
        drawn[name] = drawn_of(
            rows, "78"[control], 3, attempts=sorted(attempts), retried=True, limit=64, quota_burst=60.0,
            quota=[(at, 60.0 if at < 8 else min(60.0, (at - 8) * 3)) for at, _, _ in sorted(attempts)],
            windows=(
                Window(kind="phase", name="steady", from_s=0.0, to_s=10.0),
                Window(kind="phase", name="calm", from_s=10.0, to_s=20.0),
                Window(kind="fault", name="overloaded", from_s=4.0, to_s=8.0),
            ),
        )  # fmt: skip
    checks = (
        check("attempts-bounded", "reference", 2, 3, "{attempt}", "No call took more than 3 attempts."),
        check("attempts-agree", "reference", 0, 0, "{call}", "Spans and journal tell the same attempts."),
        check("permanent-once", "reference", 1, 1, "{attempt}", "Permanent faults cost one call."),
        check("retry-after-respected", "reference", 0, 0, "{attempt}", "No retry came before Retry-After."),
        check(
            "herd-share", "reference", 0.07, 0.2, "1", "At most 7 % of first retries share a 100 ms bin.", 1
        ),
        check(
            "herd-share",
            "no-jitter",
            0.64,
            0.2,
            "1",
            "caught, as it must be: 64 % of first retries come back in one 100 ms bin.",
            3,
            control=True,
        ),
        check(
            "amplification",
            "reference",
            arms["reference"].amplification or 0,
            3,
            "1",
            "Attempts per call stay low.",
        ),
    )
    experiment = ExperimentResult(
        name="throttling",
        title="Retry",
        claim="Transient errors are retried at most twice, after Retry-After and a jittered backoff: "
        "throttling is survived and no herd comes back. Permanent errors cost one call.",
        verdict=Outcome.PASS,
        arms=arms,
        checks=checks,
    )
    return experiment, drawn


# --- parts -----------------------------------------------------------------------------
def check(  # noqa: PLR0917 - a table of checks reads best by position
    name: str,
    arm: str,
    observed: float,
    limit: float,
    unit: str,
    message: str,
    traces: int = 0,
    *,
    control: bool = False,
) -> CheckResult:
    return CheckResult(
        id=name,
        arm=arm,
        control=control,
        verdict=Outcome.PASS,
        observed=observed,
        limit=limit,
        unit=unit,
        message=message,
        traces=tuple(trace_id(arm, number) for number in range(traces)),
        cases=1240,
        cases_needed=30,
        case="requests that could have broken it",
    )


def summarise(rows: Sequence[Served], *, control: bool, errors: int = 0, **more: object) -> ArmSummary:
    took_ms = [took * 1000 for took in served_s(rows)]
    names = [f"agent-{number + 1}" for number in sorted({row[3] for row in rows})]
    of = {name: [row for row in rows if f"agent-{row[3] + 1}" == name] for name in names}
    return ArmSummary(
        control=control, requests=len(rows), errors=errors, p50_ms=p(took_ms, 0.5), p95_ms=p(took_ms, 0.95),
        p99_ms=p(took_ms, 0.99), max_ms=max(took_ms), mean_ms=sum(took_ms) / len(took_ms),
        throughput_rps=len(rows) / max(row[2] for row in rows),
        served={name: len(mine) for name, mine in of.items()},
        busy_s={name: sum(row[2] - row[1] for row in mine) for name, mine in of.items()},
        lateness_p99_ms=1.8, cpu_utilisation=0.46, **more,
    )  # fmt: skip


def drawn_of(
    rows: Sequence[Served],
    salt: str,
    evidence: int,
    *,
    optimum: Sequence[float] = (),
    attempts: Sequence[tuple[float, int, str]] = (),
    retried: bool = False,
    **more: object,
) -> ArmSeries:
    containers = sorted({row[3] for row in rows})
    spans = {f"agent-{n + 1}": [(row[1], row[2]) for row in rows if row[3] == n] for n in containers}
    waiting = level((row[0], row[1]) for row in rows)
    end_s = max(row[2] for row in rows)
    worst = sorted(rows, key=lambda row: row[1] - row[2])[:evidence]
    return ArmSeries(
        latencies_s=tuple(served_s(rows)),
        optimum_latencies_s=tuple(optimum),
        in_flight={name: level(work) for name, work in spans.items()},
        waiting=waiting,
        idle={name: idle(work, waiting, end_s) for name, work in spans.items()},
        present=dict.fromkeys(spans, (0.0, end_s)),
        attempts=tuple(attempts),
        traces=tuple(trace(f"{salt}{i}", row, retried=retried) for i, row in enumerate(worst)),
        start_s=BEGIN_S,
        **more,
    )


def idle(
    work: Sequence[tuple[float, float]], waiting: Sequence[tuple[float, int]], end_s: float
) -> tuple[tuple[float, float], ...]:
    """When a container without a queue of its own had no work while any request waited."""
    ends = [0.0, *(end for _, end in work)]
    gaps = [(end, begin) for end, begin in zip(ends, [*(b for b, _ in work), end_s], strict=True)]
    return tuple((begin, end) for begin, end in overlaps(gaps, waiting) if end - begin > 0.01)


def trace(salt: str, row: Served, *, retried: bool = False) -> tuple[Span, ...]:
    """A request's spans: client, agent, two model calls around a tool call."""
    name = (salt * 32)[:32]
    due, begin, end, container = row
    spans: list[Span] = []

    def add(  # noqa: PLR0917 - as above
        what: str,
        service: str,
        start: float,
        stop: float,
        parent: Span | None,
        kind: str = "internal",
        **more: object,
    ) -> Span:
        span = Span(
            trace_id=name,
            span_id=f"{len(spans) + 1:016x}",
            parent_span_id=parent and parent.span_id,
            name=what,
            kind=kind,
            start_ns=int((BEGIN_S + start) * 1e9),
            end_ns=int((BEGIN_S + stop) * 1e9),
            service=service,
            instance=f"agent-{container + 1}" if service == "agent" else None,
            scope="sample",
            **more,
        )
        spans.append(span)
        return span

    def at(share: float) -> float:
        return begin + (end - begin) * share

    root = add(
        "POST /invocations",
        "load",
        due,
        end,
        None,
        "client",
        attributes={"http.request.method": "POST", "agentrig.session": "s-17"},
    )
    server = add(
        "POST /invocations",
        "agent",
        begin,
        at(0.99),
        root,
        "server",
        attributes={"http.response.status_code": 200},
    )
    agent = add(
        "invoke_agent",
        "agent",
        at(0.02),
        at(0.98),
        server,
        attributes={"gen_ai.operation.name": "invoke_agent", "agentrig.client.state": "warm"},
    )
    for first, last in ((0.04, 0.45), (0.6, 0.96)):
        events = (
            SpanEvent(
                name="agentrig.retry",
                time_ns=int((BEGIN_S + at(first + 0.1)) * 1e9),
                attributes={"agentrig.retry.delay": 1.3, "agentrig.retry.delay_source": "retry_after"},
            ),
        )
        call = add(
            "chat gpt-sim",
            "agent",
            at(first),
            at(last),
            agent,
            "client",
            attributes={"agentrig.retry.attempts": 1 + retried},
            events=events if retried else (),
        )
        if retried:
            add(
                "POST /v1/chat/completions",
                "agent",
                at(first + 0.01),
                at(first + 0.1),
                call,
                "client",
                error=True,
                status_message="429 rate_limit_exceeded",
                attributes={"http.response.status_code": 429, "error.type": "429"},
            )
        attempt = add(
            "POST /v1/chat/completions",
            "agent",
            at(last - 0.12),
            at(last - 0.01),
            call,
            "client",
            attributes={"http.response.status_code": 200},
        )
        add("chat.completions", "simulator", at(last - 0.1), at(last - 0.015), attempt, "server")
    tool = add("execute_tool search", "agent", at(0.46), at(0.59), agent)
    add("tools/call search", "mcp-server", at(0.48), at(0.58), tool, "server")
    return tuple(spans)


def trace_id(arm: str, number: int) -> str:
    salt = {
        "cached": "1",
        "per-request": "4",
        "busy-aware": "2",
        "blind": "5",
        "reference": "7",
        "no-jitter": "8",
    }[arm]
    return (f"{salt}{number}" * 32)[:32]


def arrivals(rng: random.Random, count: int, rate_rps: float, begin_s: float) -> list[float]:
    return list(accumulate((rng.expovariate(rate_rps) for _ in range(count)), initial=begin_s))[1:]


def calls(due: Iterable[float], rng: random.Random) -> list[tuple[float, int, str]]:
    return sorted((at + rng.uniform(0.01, 0.3), 1, "ok") for at in due)


def central(due: Sequence[float], work: Sequence[float], containers: int) -> list[Served]:
    free, rows = [0.0] * containers, []
    for at, took in zip(due, work, strict=True):
        number = min(range(containers), key=lambda n: (max(free[n], at), free[n]))
        begin = max(free[number], at)
        free[number] = begin + took
        rows.append((at, begin, free[number], number))
    return rows


def by_turns(due: Sequence[float], work: Sequence[float], containers: int, slots: int) -> list[Served]:
    free, rows = [[0.0] * slots for _ in range(containers)], []
    for index, (at, took) in enumerate(zip(due, work, strict=True)):
        mine = free[index % containers]
        slot = mine.index(min(mine))
        begin = max(mine[slot], at)
        mine[slot] = begin + took
        rows.append((at, begin, mine[slot], index % containers))
    return rows


def level(spans: Iterable[tuple[float, float]]) -> tuple[tuple[float, int], ...]:
    changes: dict[float, int] = {}
    for begin, end in spans:
        if end > begin:
            changes[begin] = changes.get(begin, 0) + 1
            changes[end] = changes.get(end, 0) - 1
    times = sorted(changes)
    return tuple(zip(times, accumulate(changes[at] for at in times), strict=True))


def served_s(rows: Iterable[Served]) -> list[float]:
    return [end - due for due, _, end, _ in rows]


def p(values: Sequence[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[math.ceil(share * len(ranked)) - 1]


def series_of(series: Mapping[tuple[str, str], ArmSeries], experiment: str) -> dict[str, ArmSeries]:
    return {arm: drawn for (name, arm), drawn in series.items() if name == experiment}


if __name__ == "__main__":
    made = fallen() if "--fallen" in sys.argv else run()
    Path(sys.argv[1]).write_text(to_html(*made), "utf-8")
