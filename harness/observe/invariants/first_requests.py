"""The first request of a container is not much slower than those after it."""

from __future__ import annotations

from statistics import median
from typing import Final

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.observe.evidence import CONTAINERS
from harness.observe.gathering import ObservedHistory
from harness.records.history import JoinedRequest, grouped

ENOUGH_CONTAINERS: Final = 3
"""The median of three is not one slow start."""
ENOUGH_LATER: Final = 5
LATE_S: Final = 5.0
"""A container that was there from the first seconds on had its first request before, maybe."""


def _examine(case: Case) -> Finding:
    facts = case.history.facts
    heard_s = case.history.heard_s if isinstance(case.history, ObservedHistory) else {}
    cold = {name for name, first_s in heard_s.items() if first_s > facts.start_s + LATE_S} | {
        span.instance for span in case.history.inits
    }
    good = [each for each in case.history.requests if each.row.ok and each.container in cold]
    first, later = list[JoinedRequest](), list[float]()
    for mine in grouped(good, lambda each: each.container).values():
        ranked = sorted(mine, key=lambda each: each.taken_s or 0.0)
        if len(ranked) > ENOUGH_LATER:
            first.append(ranked[0])
            later += [each.service_s or 0.0 for each in ranked[1:]]
    if not first or not (usual_s := median(later)):
        return no_data("no container that began in this time had more than some requests")
    slow = sorted(first, key=lambda each: -(each.service_s or 0.0))
    ratio = median(each.service_s or 0.0 for each in first) / usual_s
    return Finding(
        holds=ratio <= case.limit,
        observed=ratio,
        message=(
            f"the first request of {len(first)} new containers took {ratio:.2f} times as long as later ones "
            f"do, by their medians, limit {case.limit:.3g}"
        ),
        traces=worst(each.row.trace_id for each in slow),
        cases=len(first),
    )


INVARIANT = Invariant(
    id="first-requests",
    title="a container's first request against later ones",
    limit=3.0,
    unit="1",
    timing=True,
    remedy="Build clients, and load what is large, before the container says that it is ready.",
    case="containers that began in this time, and had more than five requests",
    cases_needed=ENOUGH_CONTAINERS,
    more_cases="Look at a time in which containers are rolled out.",
    examine=_examine,
    of_spans=True,
    needs=(CONTAINERS,),
)
