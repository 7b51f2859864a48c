"""Joins what the client saw, what the spans say and what the simulator received, by trace id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness import contract
from harness.analysis.throttle import herd
from harness.records.history import ArmData, ArmHistory, JoinedRequest, grouped
from harness.records.seen import JournalRow, MetricPoint, Span
from harness.records.sent import RequestRow

OK, REFUSED = 200, 503


def join(data: ArmData) -> ArmHistory:
    """Join one arm's data."""
    teller = {row.canary: row for row in data.requests if row.canary is not None}
    journal = tuple(_attributed(row, teller) for row in sorted(data.journal, key=lambda row: row.time_s))
    spans_of = grouped(data.spans, lambda span: span.trace_id)
    calls_of = grouped(journal, lambda row: row.trace_id or "")
    start_s = data.facts.start_s
    faults = [(start_s + w.from_s, start_s + w.to_s) for w in data.facts.windows if w.kind == "fault"]
    names = {container.address: container.name for container in data.facts.containers}
    return ArmHistory(
        facts=data.facts,
        requests=tuple(
            _joined(row, spans_of.get(row.trace_id, ()), calls_of.get(row.trace_id, ()), names)
            for row in sorted(data.requests, key=lambda row: row.index)
        ),
        inits=tuple(span for span in data.spans if span.name.startswith(contract.SPAN_CLIENT_INIT)),
        journal=journal,
        herd=herd(journal, faults),
        pings=_named(data, contract.PING_BUSY),
        stamps=_named(data, contract.PING_CHANGED),
        gauges=_named(data, contract.INFLIGHT),
        handshakes=next((int(point.value) for point in _named(data, contract.HANDSHAKES)), None),
    )


def _named(data: ArmData, name: str) -> tuple[MetricPoint, ...]:
    return tuple(point for point in data.metrics if point.name == name)


def _attributed(row: JournalRow, teller: Mapping[str, RequestRow]) -> JournalRow:
    """Give a model call that came without a trace to the request whose canary word it carries."""
    if row.parent_span_id is not None or row.canary is None or row.canary not in teller:
        return row
    return replace(row, trace_id=teller[row.canary].trace_id)


def _joined(
    row: RequestRow, spans: Sequence[Span], journal: Sequence[JournalRow], names: Mapping[str, str]
) -> JoinedRequest:
    server = _serving(spans)
    container = server.instance if server else names.get(row.upstream or "")
    return JoinedRequest(
        row=row, container=container, server=server, spans=tuple(spans), journal=tuple(journal)
    )


def _serving(spans: Sequence[Span]) -> Span | None:
    """Return the SERVER span of the agent that did the work, None when none did.

    A balancer may have tried containers before that refused at once: those answered 503 with
    nothing below them, while one that answers 503 after work has. Where several worked, because a
    lost one was sent again, it is the one that answered, else the last.
    """
    parents = {span.parent_span_id for span in spans}
    worked = [
        span
        for span in spans
        if span.kind == "server"
        and span.service == contract.SERVICE_AGENT
        and (span.attributes.get(contract.STATUS_CODE) != REFUSED or span.span_id in parents)
    ]
    return max(
        worked, key=lambda span: (span.attributes.get(contract.STATUS_CODE) == OK, span.end_ns), default=None
    )
