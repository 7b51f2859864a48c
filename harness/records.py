"""The plain frozen records in which the stages meet.

Times named `*_s` are Unix seconds when they are instants and seconds when they are
durations; `*_ns` are Unix nanoseconds as OpenTelemetry has them. Every process of a
run is on one machine, so instants compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Attribute = str | bool | int | float | tuple["Attribute", ...] | None


class Outcome(StrEnum):
    """A three-valued verdict. No data is `unknown`, never `pass`."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_MADE = "not_made"
    """Of a check: the agent under test emits nothing that it could look at. It decides nothing."""


# --- what is to be sent, and what the client saw ---------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request of the plan. Every arm of an experiment replays the same plan.

    Attributes:
        index: position in the plan, from 0.
        due_s: when it is due, in seconds after the load begins.
        session_id: the conversation it belongs to.
        prompt: the user's words; unique in the plan, so that the model call is too.
        phase: `burst`, `steady`, `ramp-8`, ...: which part of the plan it belongs to.
        canary: the word that the prompt tells, None when the plan has no canaries.
    """

    index: int
    due_s: float
    session_id: str
    prompt: str
    phase: str = "steady"
    canary: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """What the client saw of one request: a line of `requests.jsonl`.

    Attributes:
        experiment, arm: where it belongs.
        index, phase, session_id: as in its `Arrival`.
        request_id: unique in the run.
        trace_id, span_id: the W3C trace context it was sent with (hex).
        due_s: when it was to be sent; latency counts from here.
        sent_s: when it was sent.
        end_s: when the whole answer was there, or the failure was.
        status: HTTP status, 0 when no answer came.
        error: what went wrong, None for a success.
        error_type: the agent's `error_type`, or the client's exception class.
        upstream: `host:port` of the container that answered, where the balancer told.
        body_bytes: size of the answer's body.
        canary: the word that this request told.
        recalled: the canary words in the answer, as often as they are in it.
    """

    experiment: str
    arm: str
    index: int
    phase: str
    session_id: str
    request_id: str
    trace_id: str
    span_id: str
    due_s: float
    sent_s: float
    end_s: float
    status: int
    error: str | None = None
    error_type: str | None = None
    upstream: str | None = None
    body_bytes: int = 0
    canary: str | None = None
    recalled: tuple[str, ...] = ()

    @property
    def latency_s(self) -> float:
        """Seconds from the *intended* start to the end of the answer."""
        return self.end_s - self.due_s

    @property
    def lateness_s(self) -> float:
        """Seconds that the load itself was late in sending."""
        return self.sent_s - self.due_s

    @property
    def ok(self) -> bool:
        """Whether the caller got what it asked for."""
        return self.error is None and self.status == 200  # noqa: PLR2004 - HTTP OK


# --- what was seen ---------------------------------------------------------------------
@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEvent:
    """A timestamped event on a span."""

    name: str
    time_ns: int
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


SpanKind = Literal["internal", "server", "client", "producer", "consumer", "unspecified"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One finished OpenTelemetry span, flattened.

    Attributes:
        trace_id, span_id, parent_span_id: hex; the parent is None at the root.
        service: `service.name`; `instance`: `service.instance.id` of its resource.
        resource: the remaining resource attributes.
        error: whether its status is ERROR; `status_message` says why, where it does.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: SpanKind
    start_ns: int
    end_ns: int
    service: str
    instance: str | None
    error: bool = False
    status_message: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    resource: Mapping[str, Attribute] = field(default_factory=dict)
    scope: str = ""

    @property
    def duration_s(self) -> float:
        """Seconds between start and end."""
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """One scraped sample: a line of `metrics.jsonl`.

    Attributes:
        time_s: when it was scraped.
        source: the process it came from, such as `agent-1`.
        name: the Prometheus sample name, such as `agentrig_inflight`.
        labels: its labels.
        value: its value.
    """

    experiment: str
    arm: str
    time_s: float
    source: str
    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


FaultClass = Literal["transient", "permanent", "stream", "malformed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One model call as the simulator received it, the ground truth: a line of `journal.jsonl`.

    Attributes:
        experiment, arm: where it belongs (empty when the simulator runs alone).
        time_s: when the request's head arrived.
        end_s: when the last byte was sent, or the connection was given up.
        connection: number of the TCP connection it came over, from 1 in this process.
        protocol: `openai`, `anthropic` or `bedrock`.
        model, stream: as asked for.
        call_id: names the logical call: hash of model and messages, the same in each attempt.
        attempt: 1 for the first time this call was seen, then 2, ...
        trace_id, parent_span_id: from `traceparent`, where there was one.
        decision: `ok`, or the kind of fault that was served.
        source: `quota`, `fault`, `auth` or `request` (it was none), None for an `ok`.
        fault_class: whether a retry is right; None for an `ok`.
        status: HTTP status sent, 0 when the connection was cut before one.
        retry_after_s: what the caller was told to wait, None when nothing was said.
        quota_level: requests left in the bucket after this one, None without a quota.
        service_s: the planned time of the answer in seconds.
        bytes_sent: body bytes.
        client_gone: whether the caller hung up before the end.
        canary: the canary word that the user told last, where one did.
    """

    experiment: str = ""
    arm: str = ""
    time_s: float
    end_s: float
    connection: int
    protocol: str
    model: str
    stream: bool
    call_id: str
    attempt: int
    trace_id: str | None = None
    parent_span_id: str | None = None
    decision: str = "ok"
    source: str | None = None
    fault_class: FaultClass | None = None
    status: int = 200
    retry_after_s: float | None = None
    quota_level: float | None = None
    service_s: float = 0.0
    bytes_sent: int = 0
    client_gone: bool = False
    canary: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One agent container of a fleet.

    Attributes:
        name: its `service.instance.id`, such as `agent-1`; one that is started again is another one.
        address: `host:port`.
        joined_s: when the balancer was told of it, in Unix seconds; None for before the load began.
        left_s: when it was killed or taken from the balancer's list; None for not at all.
    """

    name: str
    address: str
    joined_s: float | None = None
    left_s: float | None = None

    def present(self, start_s: float, end_s: float) -> tuple[float, float]:
        """Return from when to when the balancer sent to it, within the load's own time."""
        joined_s = start_s if self.joined_s is None else max(self.joined_s, start_s)
        return joined_s, max(joined_s, end_s if self.left_s is None else min(self.left_s, end_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetEvent:
    """Something that was done to the fleet: `kill`, `add` or `remove`.

    Attributes:
        time_s: when, in Unix seconds.
        container: to which.
    """

    time_s: float
    action: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of an arm's time in which something was different.

    Attributes:
        kind: `phase` of the load, or `fault` of the simulator.
        name: of the phase, or the fault's kind.
        from_s, to_s: seconds since the load began.
    """

    kind: Literal["phase", "fault"]
    name: str
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUsage:
    """What one process of an arm cost.

    Attributes:
        name: `agent-1`, `envoy`, `simulator`, `mcp-server`, `capture`, `locust`.
        cpu_s: user + system CPU seconds between the load's begin and end.
        wall_s: the seconds of that span.
        rss_mb: resident memory at the end, MiB.
    """

    name: str
    cpu_s: float
    wall_s: float
    rss_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFacts:
    """What was set up for an arm, as the analysis and the checks need it.

    Attributes:
        control: whether this arm is the one in which the harness must find the fault.
        containers: the agents that ran.
        concurrency_limit: requests that one container may work on at once.
        policy: the balancers'; `balancers` is how many of them stood side by side.
        start_s: when the load began; `Arrival.due_s` counts from here.
        end_s: when the last answer was in.
        max_attempts: attempts per model call that the arm's agent is set to make, at most.
        quota_rps: requests/s the simulator's bucket refills with, None without a quota.
        quota_burst: its size.
        planned: how many requests the plan had.
        dropped: how many the load could not send.
        usage: what each process cost.
        cores: that the run could use; others_cores: how many of the machine's others kept busy meanwhile.
        events: what was done to the fleet meanwhile, in order.
        windows: the phases of the load, and the faults that had a time.
        ramp_p99_ms, ramp_error_ratio: what a step of the ramp had to stay within; None without a ramp.
    """

    experiment: str
    arm: str
    control: bool
    containers: tuple[Container, ...]
    concurrency_limit: int
    policy: str
    start_s: float
    end_s: float
    max_attempts: int = 3
    quota_rps: float | None = None
    quota_burst: float | None = None
    planned: int = 0
    dropped: int = 0
    usage: tuple[ProcessUsage, ...] = ()
    cores: float = 1
    others_cores: float | None = None
    balancers: int = 1
    events: tuple[FleetEvent, ...] = ()
    windows: tuple[Window, ...] = ()
    ramp_p99_ms: float | None = None
    ramp_error_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmData:
    """Everything seen of one arm, before any analysis: what the run folder's files hold."""

    facts: ArmFacts
    requests: tuple[RequestRow, ...]
    spans: tuple[Span, ...]
    journal: tuple[JournalRow, ...]
    metrics: tuple[MetricPoint, ...] = ()


# --- what it means, and whether it is good ---------------------------------------------
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
        herd_share: largest share of first retries in one 100 ms bin; None when they are fewer than 100.
        goodput_share: model calls that ended in success / the most that quota and permanent faults
            left possible; None without a quota.
        p99_all_ms: latency of all requests, failed ones included, as long as it took them to fail.
        recovery_s: from the end of the last timed fault until requests are as before it; None without one.
        recovery_look_s: how long after it was looked; equal to recovery_s when they were not by then.
        sustained_rps: highest step of the ramp that was sustained, 0.0 for none; None without a ramp.
        saturated_rps: successes/s while the steady phase lasted: the most that the fleet gives, when
            more than that arrives.
        tail: of the requests above p99, seconds a request by where they went; see `analysis/tail.py`.
        body: the same of all successes.
        lateness_p99_ms: how late the load itself was.
        cpu_utilisation: share of the machine's cores in use by the run's processes, 0..1.
        others_share: share of the cores that the run could use that others kept busy, 0..1 and above.
        cpu_s: per process, CPU seconds while the load lasted.
        slowest_trace, median_trace: ids of the traces of the slowest request, and of a success as slow as
            half of them; None without spans.
        warnings: what makes the figures less than sure, in words.
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
    tail: Mapping[str, float] = field(default_factory=dict)
    body: Mapping[str, float] = field(default_factory=dict)
    lateness_p99_ms: float | None = None
    cpu_utilisation: float | None = None
    others_share: float | None = None
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    slowest_trace: str | None = None
    median_trace: str | None = None
    warnings: tuple[str, ...] = ()


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
    """

    latencies_s: tuple[float, ...] = ()
    optimum_latencies_s: tuple[float, ...] = ()
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
