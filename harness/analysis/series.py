"""What the report draws of an arm."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import islice
from statistics import median

from harness.analysis.occupancy import occupancy
from harness.analysis.summary import first_tokens_s, known, optimum_of, waits_s
from harness.analysis.throttle import most_possible
from harness.records.history import ArmHistory, JoinedRequest
from harness.records.outcome import ArmSeries

WATERFALLS = 6
KEPT, MEDIANS = 60, 5
"""Traces of an arm that are kept for Jaeger's page, and how many of them are median ones."""
STREAMED_S = 0.001
"""An answer whose first words are there no earlier before its end came in one piece."""


def series(history: ArmHistory, evidence: Collection[str]) -> ArmSeries:
    """Gather the series of one arm.

    Args:
        history: what happened.
        evidence: trace ids that the checks name; the first few get a waterfall.
    """
    seen, facts = occupancy(history), history.facts
    good = [request for request in history.requests if request.row.ok]
    optimum = optimum_of(history)
    return ArmSeries(
        latencies_s=_latencies_s(good),
        optimum_latencies_s=optimum.latencies_s,
        first_tokens_s=first_tokens_s(good) if _is_streamed(good) else (),
        samples={
            "cold_p99_ms": _latencies_s(request for request in good if request.waited_for_init),
            "warm_p99_ms": _latencies_s(request for request in good if not request.waited_for_init),
            "steady_p95_ms": _latencies_s(request for request in good if request.row.phase == "steady"),
            "ttfb_p99_ms": known(request.row.ttfb_s for request in good),
            "ttft_p50_ms": first_tokens_s(good),
            "ttft_p99_ms": first_tokens_s(good),
            "p99_all_ms": _latencies_s(history.requests),
            "wait_p99_ms": waits_s(good),
            "optimum_wait_p99_ms": optimum.waits_s,
        },
        shares_of={
            "herd_share": history.herd.first_retries,
            "goodput_share": math.floor(most_possible(history.journal, facts) or 0),
        },
        limit=facts.concurrency_limit,
        in_flight=seen.in_flight,
        waiting=seen.waiting,
        idle=seen.idle,
        present=seen.present,
        events=tuple(replace(event, time_s=event.time_s - facts.start_s) for event in facts.events),
        windows=facts.windows,
        attempts=tuple((row.time_s - facts.start_s, row.attempt, row.decision) for row in history.journal),
        quota=tuple(
            (row.time_s - facts.start_s, row.quota_level)
            for row in history.journal
            if row.quota_level is not None
        ),
        quota_burst=facts.quota_burst,
        start_s=facts.start_s,
        traces=tuple(request.spans for request in _requests_to_draw(history, evidence)),
        kept=tuple(request.spans for request in _requests_to_keep(history, evidence)),
        traced=sum(bool(request.spans) for request in history.requests),
    )


def _is_streamed(requests: Iterable[JoinedRequest]) -> bool:
    """Return whether answers come in pieces: their first words well before their end."""
    streamed_s = known(request.row.streamed_s for request in requests)
    return bool(streamed_s) and median(streamed_s) > STREAMED_S


def _latencies_s(requests: Iterable[JoinedRequest]) -> tuple[float, ...]:
    return tuple(request.row.latency_s for request in requests)


def _requests_to_draw(history: ArmHistory, evidence: Iterable[str]) -> list[JoinedRequest]:
    known = {request.row.trace_id: request for request in history.requests if request.spans}
    if not known:
        return []
    slowest = max(known.values(), key=lambda request: request.row.latency_s)
    chosen = {slowest.row.trace_id: slowest}
    for trace_id in evidence:
        if trace_id in known and len(chosen) < WATERFALLS:
            chosen.setdefault(trace_id, known[trace_id])
    return list(chosen.values())


def _requests_to_keep(history: ArmHistory, evidence: Iterable[str]) -> list[JoinedRequest]:
    """Return the slowest, the checks' evidence, median ones, and then more of the slowest."""
    known = {request.row.trace_id: request for request in history.requests if request.spans}
    slowest = sorted(known, key=lambda trace_id: -known[trace_id].row.latency_s)
    middle = max(0, (len(slowest) - MEDIANS) // 2)
    medians = slowest[middle : middle + MEDIANS]
    named = [trace_id for trace_id in evidence if trace_id in known]
    chosen = dict.fromkeys([*slowest[:1], *medians, *named, *slowest])
    return [known[trace_id] for trace_id in islice(chosen, KEPT)]
