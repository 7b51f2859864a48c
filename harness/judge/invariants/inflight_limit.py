"""No container works on more than its limit at once."""

from __future__ import annotations

from collections import defaultdict

from harness.judge.case import Case, Finding, Invariant, no_data, worst

CLOCK_S = 0.001
"""Spans of one process are stamped by one clock, but the last bytes of an answer leave before its
span ends: overlaps shorter than this are hand-overs."""


def _examine(case: Case) -> Finding:
    work: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
    for request in case.history.requests:
        if request.taken_s is not None and request.done_s is not None:
            end_s = request.done_s - CLOCK_S
            work[request.container or ""].append((request.taken_s, end_s, request.row.trace_id))
    if not work:
        return no_data("no agent span tells when work began")
    limit = case.history.facts.concurrency_limit
    most, traces = 0, []
    for intervals in work.values():
        changes = sorted(
            change
            for begin, end, trace in intervals
            for change in ((begin, 1, trace), (max(begin, end), -1, trace))
        )
        count = 0
        for _, step, trace in changes:
            count += step
            most = max(most, count)
            if step > 0 and count > limit:
                traces.append(trace)
    return Finding(
        holds=most <= limit,
        observed=float(most),
        message=f"at most {most} requests in work in one container, its limit is {limit}",
        traces=worst(traces),
    )


INVARIANT = Invariant(
    id="inflight-limit",
    title="never more in work than the limit",
    limit=0,
    unit="{request}",
    remedy="Take the slot before anything of the request is read, and give it back when work has ended.",
    examine=_examine,
)
