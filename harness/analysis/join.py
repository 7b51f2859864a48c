"""Joins what the client saw, what the spans say and what the simulator received, by trace id."""

from __future__ import annotations

from collections.abc import Sequence

from harness import contract
from harness.history import ArmHistory, JoinedRequest, grouped
from harness.records import ArmData, JournalRow, RequestRow, Span

REFUSED = 503


def join(data: ArmData) -> ArmHistory:
    """Join one arm's data."""
    spans = grouped(data.spans, lambda span: span.trace_id)
    journal = grouped(sorted(data.journal, key=lambda row: row.time_s), lambda row: row.trace_id or "")
    names = {container.address: container.name for container in data.facts.containers}
    rows = sorted(data.requests, key=lambda row: row.index)
    return ArmHistory(
        facts=data.facts,
        requests=tuple(
            _joined(row, tuple(spans.get(row.trace_id, ())), tuple(journal.get(row.trace_id, ())), names)
            for row in rows
        ),
        inits=tuple(span for span in data.spans if span.name.startswith(contract.SPAN_CLIENT_INIT)),
        journal=tuple(sorted(data.journal, key=lambda row: row.time_s)),
    )


def _joined(
    row: RequestRow, spans: tuple[Span, ...], journal: tuple[JournalRow, ...], names: dict[str, str]
) -> JoinedRequest:
    server = _serving(spans)
    container = server.instance if server else names.get(row.upstream or "")
    return JoinedRequest(row=row, container=container, server=server, spans=spans, journal=journal)


def _serving(spans: Sequence[Span]) -> Span | None:
    """Return the SERVER span of the agent that did the work.

    A balancer may have tried containers before that refused at once: those have a 503 and nothing
    below them. One that answers 503 after work has.
    """
    servers = [s for s in spans if s.kind == "server" and s.service == contract.SERVICE_AGENT]
    parents = {span.parent_span_id for span in spans}
    worked = [s for s in servers if s.attributes.get(contract.STATUS_CODE) != REFUSED or s.span_id in parents]
    return max(worked, key=lambda span: span.duration_s, default=None)
