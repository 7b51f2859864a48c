"""Joins what the client saw, what the spans say and what the simulator received.

No source is believed alone: a container is who the balancer says answered, a model call belongs to whom its
trace or its words name, and clocks are those that causality allows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import isfinite

from harness import contract
from harness.analysis.attribution import attributed
from harness.analysis.clocks import clock_offsets
from harness.analysis.conventions import in_names_of_today, is_message
from harness.analysis.places import Addresses, Places
from harness.analysis.possible import impossible
from harness.analysis.throttle import herd
from harness.records.history import ArmData, ArmHistory, JoinedRequest, grouped
from harness.records.seen import MetricPoint, Span

OK, REFUSED = 200, 503


def join(data: ArmData) -> ArmHistory:
    """Join one arm's data; what an exporter or a file has twice counts once."""
    facts = data.facts
    rows = sorted(data.requests, key=lambda row: row.index)
    journal, joins = attributed(dict.fromkeys(data.journal), rows, facts.start_s)
    # Two containers may draw the same ids: that must not be hidden here.
    once = {(span.trace_id, span.span_id, span.instance): span for span in data.spans}.values()
    spans = [in_names_of_today(span) if span.of_agent else span for span in once]
    spans_of = grouped(spans, lambda span: span.trace_id)
    calls_of = grouped(journal, lambda row: row.trace_id or "")
    addresses = Addresses(facts.containers)
    worked = {row.trace_id: _worked(spans_of.get(row.trace_id, ())) for row in rows}
    places = Places(
        facts.containers,
        addresses,
        (
            (worked[row.trace_id][0], addresses.of(row.upstream))
            for row in rows
            if len(worked[row.trace_id]) == 1
        ),
    )
    requests, elsewhere = [], 0
    for row in rows:
        upstream = addresses.of(row.upstream)
        server = _serving(worked[row.trace_id], places, upstream)
        told = places.of(server) if server else None
        elsewhere += None not in {told, upstream} and told != upstream
        container = told or upstream or (server.instance if server else None)
        named = places.named(spans_of.get(row.trace_id, ()), container)
        requests.append(
            JoinedRequest(
                row=row,
                container=container,
                server=places.named([server], container)[0] if server else None,
                spans=named,
                journal=tuple(calls_of.get(row.trace_id, ())),
            )
        )
    known = {row.trace_id for row in rows}
    strays = places.named(span for span in spans if span.trace_id not in known)
    every = [*(span for request in requests for span in request.spans), *strays]
    faults = [(facts.start_s + w.from_s, facts.start_s + w.to_s) for w in facts.windows if w.kind == "fault"]
    return ArmHistory(
        facts=facts,
        requests=tuple(requests),
        unasked=tuple(strays),
        inits=tuple(span for span in every if span.name.startswith(contract.SPAN_CLIENT_INIT)),
        journal=journal,
        herd=herd([row for row in journal if joins.tells_apart(row)], faults, slowed=facts.backoff_slowed),
        pings=_named(data, contract.PING_BUSY),
        mute_pings=_named(data, contract.PING_MUTE),
        stamps=_named(data, contract.PING_CHANGED),
        gauges=_named(data, contract.INFLIGHT),
        readiness=_named(data, contract.READY),
        growth=tuple(each for each in data.metrics if each.name in contract.HELD and _was_seen(each)),
        handshakes=next((int(point.value) for point in _named(data, contract.HANDSHAKES)), None),
        joins=replace(joins, elsewhere=elsewhere, misnamed=places.misnamed),
        strays=tuple(row for row in journal if row.trace_id is None and row.time_s >= facts.start_s),
        impossible=impossible(facts, requests, journal),
        clocks=clock_offsets(requests),
    )


def _named(data: ArmData, name: str) -> tuple[MetricPoint, ...]:
    """Return the looks at a figure, each once; what is no number was not seen."""
    seen = {
        (point.source, point.time_s): point
        for point in data.metrics
        if point.name == name and _was_seen(point)
    }
    return tuple(seen.values())


def _was_seen(point: MetricPoint) -> bool:
    """Whether a look at a figure found a number, at a time that is one."""
    return all(map(isfinite, (point.value, point.time_s, point.took_s))) and point.took_s >= 0


def _worked(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return the SERVER spans of the agent that tell of work: those that its balancer called.

    A container that refuses at once answers 503, and calls nobody; one that answers 503 after work has. What
    middleware and the messages of an answer leave as spans is no work; of the messages some tell its status,
    where that of the server does not.
    """
    ours = {span.span_id: span for span in spans if span.of_agent}
    worked = _above(ours, [span for span in ours.values() if _is_work(span)])
    told = {
        span.parent_span_id: span.attributes[contract.STATUS_CODE]
        for span in spans
        if is_message(span) and contract.STATUS_CODE in span.attributes
    }
    return tuple(
        span
        for span in spans
        if span.kind == "server"
        and span.of_agent
        and span.parent_span_id not in ours
        and (
            span.span_id in worked
            or span.attributes.get(contract.STATUS_CODE, told.get(span.span_id)) != REFUSED
        )
    )


def _is_work(span: Span) -> bool:
    """Whether it tells that an agent works on a request: it calls somebody, or its Agent was asked."""
    return span.kind == "client" or span.name.startswith(contract.SPAN_INVOKE_AGENT)


def _above(ours: Mapping[str, Span], below: Iterable[Span]) -> set[str]:
    """Return the ids of all spans above some."""
    found: set[str] = set()
    for span in below:
        parent = ours.get(span.parent_span_id or "")
        while parent is not None and parent.span_id not in found:
            found.add(parent.span_id)
            parent = ours.get(parent.parent_span_id or "")
    return found


def _serving(worked: Sequence[Span], places: Places, upstream: str | None) -> Span | None:
    """Return the span of who did the work, None when nobody did.

    Where several worked, because a lost one was sent again, it is the one whose answer the balancer handed
    on, else the one that answered, else the last.
    """
    return max(
        worked,
        key=lambda span: (
            upstream is not None and places.of(span) == upstream,
            span.attributes.get(contract.STATUS_CODE) == OK,
            span.end_ns,
        ),
        default=None,
    )
