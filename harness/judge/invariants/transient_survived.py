"""Requests that met transient faults are answered nevertheless.

Those of a storm are not looked at, nor those that were tried while it lasted: more arrives there than the
model can answer, so some have to fail. Nor is one that failed as its container was killed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.causes import lost_with_its_container
from harness.judge.evidence import WHOSE_CALLS
from harness.records.history import MENDABLE, STORM, JoinedRequest
from harness.records.setup import ArmFacts, Window

ENOUGH_REQUESTS = 20
"""With fewer, one that is lost by chance is more than a limit of 0.95 allows."""


def _tested(request: JoinedRequest, storms: Sequence[Window]) -> bool:
    classes = {row.fault_class for row in request.journal}
    met_one = request.row.phase == STORM or any(
        storm.from_s <= row.time_s < storm.to_s for row in request.journal for storm in storms
    )
    told = bool(classes & MENDABLE) and "permanent" not in classes and not met_one
    return told and not request.row.left  # who sent it did not wait for the answer


def _storms(facts: ArmFacts) -> list[Window]:
    """Return the storms, in Unix seconds: each lasts until the next phase begins, the last for ever."""
    phases = [window for window in facts.windows if window.kind == "phase"]
    found = []
    for storm in phases:
        if storm.name == STORM:
            ends_s = min((each.from_s for each in phases if each.from_s > storm.from_s), default=math.inf)
            found.append(replace(storm, from_s=facts.start_s + storm.from_s, to_s=facts.start_s + ends_s))
    return found


def _examine(case: Case) -> Finding:
    storms = _storms(case.history.facts)
    tested = [
        request
        for request in case.history.requests
        if _tested(request, storms) and (request.row.ok or not lost_with_its_container(request, case.history))
    ]
    if not tested:
        return no_data("no request met a transient fault")
    lost = [request for request in tested if not request.row.ok]
    share = 1 - len(lost) / len(tested)
    survived = len(tested) - len(lost)
    return Finding(
        holds=share >= case.limit,
        observed=share,
        message=(
            f"{survived} of {len(tested)} requests outlived a transient fault: {share:.1%}, at least "
            f"{case.limit:.1%} should"
        ),
        traces=worst(request.row.trace_id for request in lost),
        cases=len(tested),
    )


INVARIANT = Invariant(
    id="transient-survived",
    title="transient faults are survived",
    limit=0.97,
    unit="1",
    remedy="Retry once or twice, after Retry-After and a backoff long enough for the fault to clear.",
    case="requests that met a transient fault outside a storm",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Serve more transient faults.",
    examine=_examine,
    of_calls=True,
    needs=(WHOSE_CALLS,),
)
