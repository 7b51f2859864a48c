"""What came out: figures, checks, verdicts, and what the report draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from harness.records.seen import Span
from harness.records.setup import FleetEvent, Window


class Outcome(StrEnum):
    """A three-valued verdict. No data is `unknown`, never `pass`."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_MADE = "not_made"
    """Of a check: the agent under test emits nothing that it could look at. It decides nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """The figures of one arm, as `verdict.json` has them.

    `None` where the data does not give the figure. Latencies are from the intended
    start, of successful requests unless the name says otherwise.

    Attributes:
        requests, errors: counts; an error is any answer but a success.
        p50_ms, p95_ms, p99_ms, max_ms, mean_ms: latency.
        cold_p99_ms, warm_p99_ms: of the requests that waited for a client's init (the slowest, while
            they are fewer than 100), and of the others.
        steady_p95_ms: of the phase after the burst: what a request pays that no burst delays.
        ttfb_p99_ms: until the first byte of the answer was there.
        ttft_p50_ms, ttft_p99_ms: until its first words were there: of an answer in one piece, its end.
        throughput_rps: successes/s between the load's begin and the last answer.
        wait_p99_ms: of successes, from when they were due until a container worked on them.
        optimum_p99_ms: p99 of a central FIFO queue on the same arrivals and service times.
        optimum_wait_p99_ms: p99 of the wait in that queue.
        p99_over_optimum: p99_ms / optimum_p99_ms.
        idle_while_waiting_s: container-seconds idle while a request waited elsewhere.
        busy_s: per container, seconds with at least one request in work.
        served: per container, requests answered.
        client_inits: `client.init` spans per client name.
        connections: TCP connections that the simulator saw.
        model_calls, model_attempts: logical calls and attempts in the journal.
        amplification: model_attempts / model_calls.
        herd_share: largest share of first retries in one 100 ms bin (longer in slow motion); None when
            they are fewer than 100.
        goodput_share: model calls that ended in success / the most that quota and permanent faults
            left possible; None without a quota.
        p99_all_ms: latency of all requests, failed ones included, as long as it took them to fail.
        recovery_s: from the end of the last timed fault until requests are as before it; None without one.
        recovery_look_s: how long after it was looked; equal to recovery_s when they were not by then.
        sustained_rps: highest step of the ramp that was sustained, 0.0 for none; None without a ramp.
        saturated_rps: successes/s while the steady phase lasted: the most that the fleet gives, when
            more than that arrives.
        without_slot: requests of the steady phase that would find every slot taken, however they were
            spread; None without a steady phase. With few of them, `saturated_rps` is the load's own rate.
        tail: of the requests above p99, seconds a request by where they went; see `analysis/tail.py`.
        body: the same of all successes.
        lateness_p99_ms: how late the load itself was.
        cpu_utilisation: share of the machine's cores in use by the run's processes, 0..1.
        others_share: share of the cores that the run could use that others kept busy, 0..1 and above.
        cpu_s: per process, CPU seconds while the load lasted.
        slowest_trace, median_trace: ids of the traces of the slowest request, and of a success as slow as
            half of them; None without spans.
        warnings: what makes the figures less than sure, in words.
        join_warnings: what makes it less than sure which of its parts belong together, in words; checks that
            rest on it say so themselves.
    """

    control: bool
    requests: int
    errors: int
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    mean_ms: float | None = None
    cold_p99_ms: float | None = None
    warm_p99_ms: float | None = None
    steady_p95_ms: float | None = None
    ttfb_p99_ms: float | None = None
    ttft_p50_ms: float | None = None
    ttft_p99_ms: float | None = None
    throughput_rps: float | None = None
    wait_p99_ms: float | None = None
    optimum_p99_ms: float | None = None
    optimum_wait_p99_ms: float | None = None
    p99_over_optimum: float | None = None
    idle_while_waiting_s: float | None = None
    busy_s: Mapping[str, float] = field(default_factory=dict)
    served: Mapping[str, int] = field(default_factory=dict)
    client_inits: Mapping[str, int] = field(default_factory=dict)
    connections: int | None = None
    model_calls: int | None = None
    model_attempts: int | None = None
    amplification: float | None = None
    herd_share: float | None = None
    goodput_share: float | None = None
    p99_all_ms: float | None = None
    recovery_s: float | None = None
    recovery_look_s: float | None = None
    sustained_rps: float | None = None
    saturated_rps: float | None = None
    without_slot: int | None = None
    tail: Mapping[str, float] = field(default_factory=dict)
    body: Mapping[str, float] = field(default_factory=dict)
    lateness_p99_ms: float | None = None
    cpu_utilisation: float | None = None
    others_share: float | None = None
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    slowest_trace: str | None = None
    median_trace: str | None = None
    warnings: tuple[str, ...] = ()
    join_warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check on one arm.

    Attributes:
        id: the invariant's name.
        arm: the arm it looked at.
        control: whether the arm is a control. Where the experiment says `caught_in`, `pass` means
            that the fault was found, as the message then says.
        verdict: pass, fail or unknown.
        observed, limit, unit: the figure, what it is held against, and its UCUM-like unit.
        message: one sentence, with what to do when it fell short.
        traces: trace ids of the evidence, the worst first, at most 10.
        cases: tested cases that it rests on: in which the rule could have been broken; None when it was not
            made.
        cases_needed: fewer of them are unknown.
        case: what one is, in the plural.
    """

    id: str
    arm: str
    control: bool
    verdict: Outcome
    observed: float | None
    limit: float | None
    unit: str
    message: str
    traces: tuple[str, ...] = ()
    cases: int | None = None
    cases_needed: int | None = None
    case: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentResult:
    """The verdict on one experiment."""

    name: str
    title: str
    claim: str
    verdict: Outcome
    arms: Mapping[str, ArmSummary]
    checks: tuple[CheckResult, ...]
    rate_scale: float = 1.0
    """What its rates were multiplied by, to fit the machine or by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The verdict on a run: what `verdict.json` says."""

    run_id: str
    verdict: Outcome
    started_s: float
    duration_s: float
    quick: bool
    experiments: tuple[ExperimentResult, ...]
    version: str = ""
    jaeger_url: str | None = None
    again: str | None = None
    """The command that makes it again, where it is not `agentrig run`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSeries:
    """What the report draws of one arm. Times are seconds since the load began.

    Attributes:
        latencies_s: of successes, from the intended start, in order of arrival.
        optimum_latencies_s: the central queue's, on the same arrivals and service times.
        first_tokens_s: until the first words of each success, where answers come in pieces; else empty.
        samples: the latencies in seconds that a figure of the summary is of, by its name, where they are
            others than all successes'.
        shares_of: how many cases a share of the summary is of, by its name.
        limit: requests that a container may work on at once: with so many it is busy; 0 for unknown.
        in_flight: per container, (time, requests in work) at each change.
        waiting: (time, requests that are due and in no container's work) at each change.
        idle: per container, from when to when it had a free slot while a request waited elsewhere.
        present: per container, from when to when the balancer sent to it.
        events: what was done to the fleet.
        windows: phases of the load, and faults.
        attempts: (time, attempt number, decision) of each model attempt in the journal.
        quota: (time, requests left in the bucket) at each attempt; empty without a quota.
        quota_burst: the bucket's size.
        start_s: when the load began, in Unix seconds.
        traces: whole traces worth a waterfall: the slowest first, then the checks' evidence.
        of_typical_block: whether p50 and p99 of the summary are those of a typical block of requests, not of
            all successes together.
        kept: whole traces worth a file for Jaeger's page, the most telling first: these, the median ones, and
            more of the slowest.
        traced: how many requests have a trace.
    """

    latencies_s: tuple[float, ...] = ()
    optimum_latencies_s: tuple[float, ...] = ()
    first_tokens_s: tuple[float, ...] = ()
    samples: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    shares_of: Mapping[str, int] = field(default_factory=dict)
    limit: int = 0
    in_flight: Mapping[str, tuple[tuple[float, int], ...]] = field(default_factory=dict)
    waiting: tuple[tuple[float, int], ...] = ()
    idle: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    present: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    events: tuple[FleetEvent, ...] = ()
    windows: tuple[Window, ...] = ()
    attempts: tuple[tuple[float, int, str], ...] = ()
    quota: tuple[tuple[float, float], ...] = ()
    quota_burst: float | None = None
    start_s: float = 0.0
    traces: tuple[tuple[Span, ...], ...] = ()
    of_typical_block: bool = False
    kept: tuple[tuple[Span, ...], ...] = ()
    traced: int = 0
