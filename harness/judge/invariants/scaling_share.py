"""More containers give more throughput, in proportion."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst

ENOUGH_REQUESTS = 50
"""A rate is that of the load, until requests have to wait for a slot however they are spread."""


def _examine(case: Case) -> Finding:
    mine, other = case.summary, case.versus
    if (
        other is None
        or mine.saturated_rps is None
        or not other.saturated_rps
        or not (mine.served and other.served)
    ):
        return no_data("both arms need a steady phase in which requests were answered")
    linear_rps = other.saturated_rps * len(mine.served) / len(other.served)
    share = mine.saturated_rps / linear_rps
    slowest = sorted(case.history.requests, key=lambda request: -request.row.latency_s)
    return Finding(
        holds=share >= case.limit,
        observed=share,
        message=(
            f"{mine.saturated_rps:.2f} requests/s from {len(mine.served)} containers, "
            f"{other.saturated_rps:.2f} from {len(other.served)}: {share:.3f} of linear, "
            f"at least {case.limit:.3g} needed"
        ),
        traces=worst(request.row.trace_id for request in slowest),
        cases=min(mine.without_slot or 0, other.without_slot or 0),
    )


INVARIANT = Invariant(
    id="scaling-share",
    title="throughput against that of fewer containers, as a share of linear",
    limit=0.95,
    unit="1",
    timing=True,
    compares=True,
    remedy="Look for what the containers share: a lock, a quota, a balancer that leaves some of them idle.",
    case="requests that would find every slot taken, in each of the two arms",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more than the containers can do: below that, throughput is the load's own rate.",
    examine=_examine,
)
