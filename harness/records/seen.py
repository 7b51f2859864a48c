"""What was seen: spans, metrics, and what the simulator received.

Times named `*_ns` are Unix nanoseconds, as OpenTelemetry has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness import contract

Attribute = str | bool | int | float | tuple["Attribute", ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEvent:
    """A timestamped event on a span."""

    name: str
    time_ns: int
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


SpanKind = Literal["internal", "server", "client", "producer", "consumer", "unspecified"]


@dataclass(slots=True, kw_only=True)
class Span:
    """One finished OpenTelemetry span, flattened. Nothing changes one.

    It is not frozen: that makes it three times as slow to build, and millions are.

    Attributes:
        trace_id, span_id, parent_span_id: hex; the parent is None at the root.
        service: `service.name`; `instance`: `service.instance.id` of its resource.
        resource: the remaining resource attributes.
        error: whether its status is ERROR; `status_message` says why, where it does.
        trace_state: W3C `tracestate`: a sampler may tell its ratio there.
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
    trace_state: str = ""

    @property
    def duration_s(self) -> float:
        """Seconds between start and end."""
        return (self.end_ns - self.start_ns) / 1e9

    @property
    def of_agent(self) -> bool:
        """Whether it is the agent's, and not of a part of the harness."""
        return self.service not in contract.PARTS


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricPoint:
    """One scraped sample: a line of `metrics.jsonl`.

    Attributes:
        time_s: when it was scraped.
        source: the process it came from, such as `agent-1`.
        name: the Prometheus sample name, such as `agentrig_inflight`.
        labels: its labels.
        value: its value.
        took_s: how long the answer took: it is true of some instant in that time.
    """

    experiment: str
    arm: str
    time_s: float
    source: str
    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    took_s: float = 0.0


FaultClass = Literal["transient", "permanent", "stream", "malformed", "slow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One model call as the simulator received it, the ground truth: a line of `journal.jsonl`.

    Attributes:
        experiment, arm: where it belongs (empty when the simulator runs alone).
        time_s: when the request's head arrived.
        end_s: when the last byte was sent, or the connection was given up, as it was noted: a moment later,
            and long after on a busy machine. What must not lie before an answer is held against `over_s`.
        connection: number of the TCP connection it came over, from 1 in this process.
        protocol: as the simulator names it: `openai`, `anthropic`, `bedrock-invoke`, ...
        model, stream: as asked for.
        call_id: names the logical call, the same in each attempt: by the hash of model and messages; where
            the same is asked again as another call, by that and its number.
        attempt: 1 for the first time this call was seen, then 2, ...
        trace_id, parent_span_id: from `traceparent`, where there was one.
        decision: `ok`, or the kind of fault that was served.
        source: `quota`, `fault`, `auth`, `request` (it was none) or `stopped` (the simulator was, before all
            of the answer was sent; so is the decision), None for an `ok`.
        fault_class: whether a retry is right; `slow` for an answer that is whole, but late; None for an `ok`.
        status: HTTP status sent, 0 when the connection was cut before one.
        retry_after_s: what the caller was told to wait, None when nothing was said.
        quota_level: requests left in the bucket after this one, None without a quota.
        service_s: the planned time of the answer in seconds, with the silence that it ends in, if it does.
        bytes_sent: body bytes.
        client_gone: whether the caller hung up before the end.
        canary: the canary word that the user told last, where one did.
        input_tokens, output_tokens: of a whole answer, as its usage tells them; 0 of any other.
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
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def served_a_fault(self) -> bool:
        """Whether the simulator did it of itself: a wrong key, and what is no request, are the caller's."""
        return self.source in {"fault", "quota"}

    @property
    def over_s(self) -> float:
        """When the caller had the end of the answer at the earliest, in Unix time.

        No answer is over before it was planned to be; a pause of the simulator makes it later, and what the
        simulator notes of it later still. So no pause turns what came after an answer into what came before.
        """
        return min(self.end_s, self.time_s + self.service_s)

    @property
    def answered(self) -> bool:
        """Whether the caller was given a whole answer: what is only slow is one, for who waits for it."""
        return self.decision == "ok" or (self.fault_class == "slow" and not self.client_gone)
