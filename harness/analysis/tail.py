"""Where a request's time went, and where that of the slow ones did.

| part | from the client's row and the spans of the trace |
|---|---|
| `load` | due until sent: the load's own lateness |
| `balancer` | sent until it reached the container and back, less any queue on the way |
| `waiting` | queued: in the balancer, for another container after a refusal, or inside the container |
| `cold init` | waited for the building of a client |
| `session` | session store: load and save |
| `first token` | model: until its first token |
| `model` | model: the rest of the answer, failed attempts included |
| `backoff` | between attempts |
| `tools` | tool calls |
| `agent` | the rest: the agent's own work |

The parts of a request add up to its latency; where tool calls overlap, `agent` is never below 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness import contract
from harness.quantiles import quantile
from harness.records.history import JoinedRequest
from harness.records.seen import Span

PARTS = (
    "load", "balancer", "waiting", "cold init", "session", "first token", "model", "backoff", "tools",
    "agent",
)  # fmt: skip
"""In the order in which a request meets them, about."""
BALANCER_INGRESS = "ingress"


def tail(requests: Sequence[JoinedRequest]) -> dict[str, float]:
    """Return the mean seconds per part of the successes above p99; empty while there is no p99."""
    good = [request for request in requests if request.row.ok]
    p99_s = quantile([request.row.latency_s for request in good], 0.99)
    if p99_s is None:
        return {}
    return body([request for request in good if request.row.latency_s > p99_s])


def body(requests: Sequence[JoinedRequest]) -> dict[str, float]:
    """Return the mean seconds per part of the successes that an agent's span tells of; empty for none."""
    parts = [split(request) for request in requests if request.row.ok and request.server is not None]
    return {part: sum(each[part] for each in parts) / len(parts) for part in PARTS} if parts else {}


def split(request: JoinedRequest) -> dict[str, float]:
    """Split the latency of a request, in seconds per part; all of it is `balancer` without a span."""
    row, server = request.row, request.server
    if (until_answer := request.until_answer) != request.spans:
        request = replace(request, spans=until_answer)
    parts = dict.fromkeys(PARTS, 0.0)
    parts["load"] = row.lateness_s
    if server is None:
        parts["balancer"] = row.end_s - row.sent_s
        return parts
    queued_s = _queued_s(request.spans, server)
    parts["waiting"] = queued_s + request.queue_wait_s
    parts["balancer"] = max(0.0, row.end_s - row.sent_s - server.duration_s - queued_s)
    parts["cold init"] = sum(_number(span, contract.CLIENT_WAIT_S) for span in request.invocations)
    parts["session"] = _seconds(span for span in request.spans if span.name.startswith("session."))
    parts["tools"] = _seconds(
        span
        for span in request.spans
        if span.of_agent and span.attributes.get(contract.OPERATION) == "execute_tool"
    )
    parts["backoff"] = sum(
        float(delay)
        for call in request.model_calls
        for event in call.events
        if event.name == contract.RETRY_EVENT
        and isinstance(delay := event.attributes.get(contract.RETRY_DELAY_S), int | float)
    )
    parts["first token"], parts["model"] = _model_s(request)
    parts["agent"] = max(
        0.0,
        server.duration_s
        - request.queue_wait_s
        - sum(parts[name] for name in PARTS[PARTS.index("cold init") : -1]),
    )
    return parts


def _queued_s(spans: Sequence[Span], server: Span) -> float:
    """Return how long the balancer kept a request before it sent it to the container that worked on it."""
    arrived_ns = min(
        (
            span.start_ns
            for span in spans
            if span.service == contract.SERVICE_ENVOY and span.name == BALANCER_INGRESS
        ),
        default=None,
    )
    sent_on_ns = next((span.start_ns for span in spans if span.span_id == server.parent_span_id), None)
    if arrived_ns is None or sent_on_ns is None:
        return 0.0
    return max(0, sent_on_ns - arrived_ns) / 1e9


def _model_s(request: JoinedRequest) -> tuple[float, float]:
    """Return the seconds until the first tokens of all model calls, and the rest of them."""
    whole_s = _seconds(request.attempts)
    within = {span.span_id for span in request.attempts}
    first_s = sum(
        _number(span, contract.FIRST_CHUNK_S) for span in request.spans if span.parent_span_id in within
    )
    first_s = min(first_s, whole_s)
    return first_s, whole_s - first_s


def _seconds(spans: Iterable[Span]) -> float:
    return sum(span.duration_s for span in spans)


def _number(span: Span, key: str) -> float:
    value = span.attributes.get(key, 0.0)
    return float(value) if isinstance(value, int | float) else 0.0
