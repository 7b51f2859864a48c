"""What the report draws of an arm."""

from __future__ import annotations

from collections.abc import Iterable

from harness.analysis.occupancy import occupancy
from harness.analysis.summary import optimum_latencies_s
from harness.history import ArmHistory, JoinedRequest
from harness.records import ArmSeries

WATERFALLS = 6


def series(history: ArmHistory, evidence: Iterable[str]) -> ArmSeries:
    """Gather the series of one arm.

    Args:
        history: what happened.
        evidence: trace ids that the checks name; the first few get a waterfall.
    """
    seen = occupancy(history)
    start_s = history.facts.start_s
    return ArmSeries(
        latencies_s=tuple(request.row.latency_s for request in history.requests if request.row.ok),
        optimum_latencies_s=tuple(optimum_latencies_s(history)),
        in_flight=seen.in_flight,
        waiting=seen.waiting,
        attempts=tuple((row.time_s - start_s, row.attempt, row.decision) for row in history.journal),
        traces=tuple(request.spans for request in _worth_a_look(history, evidence)),
    )


def _worth_a_look(history: ArmHistory, evidence: Iterable[str]) -> list[JoinedRequest]:
    known = {request.row.trace_id: request for request in history.requests if request.spans}
    if not known:
        return []
    slowest = max(known.values(), key=lambda request: request.row.latency_s)
    chosen = {slowest.row.trace_id: slowest}
    for trace_id in evidence:
        if trace_id in known and len(chosen) < WATERFALLS:
            chosen.setdefault(trace_id, known[trace_id])
    return list(chosen.values())
