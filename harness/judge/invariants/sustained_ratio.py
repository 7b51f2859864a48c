"""The rate that is sustained is higher than in another arm, by as much as was claimed."""

from __future__ import annotations

from collections import Counter

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.ramp import rate_of
from harness.records.history import ArmHistory

ENOUGH_REQUESTS = 20
"""A step that is not sustained ends with a few that were slow or failed, and that is exact; one that is has
to have been asked."""


def _examine(case: Case) -> Finding:
    if case.versus is None or case.versus.sustained_rps is None or case.summary.sustained_rps is None:
        return no_data("both arms need a ramp")
    own_rps, other_rps = case.summary.sustained_rps, case.versus.sustained_rps
    if other_rps:
        ratio = own_rps / other_rps
        reference, is_ratio = f"{other_rps:g} in the other arm", "ratio"
    else:  # it would sustain some rate below the first step's: that bounds the ratio
        steps = (rate_of(window.name) for window in case.history.facts.windows if window.kind == "phase")
        first_rps = min(rate_rps for rate_rps in steps if rate_rps)
        ratio = own_rps / first_rps
        if ratio < case.limit:
            return no_data("the other arm sustains not even the first step: begin the ramp lower")
        reference, is_ratio = f"not even {first_rps:g}, the first step, in the other arm", "ratio above"
    return Finding(
        holds=ratio >= case.limit,
        observed=ratio,
        message=f"{own_rps:g} requests/s sustained against {reference}: "
        f"{is_ratio} {ratio:.3g}, limit {case.limit:.3g}",
        cases=_asked(case.history, own_rps),
    )


def _asked(history: ArmHistory, sustained_rps: float) -> int:
    """Return how many requests the least of the sustained steps had, or all steps where none was."""
    rows = Counter(request.row.phase for request in history.requests)
    rates = {window.name: rate_of(window.name) for window in history.facts.windows if window.kind == "phase"}
    steps = {name: rate_rps for name, rate_rps in rates.items() if rate_rps is not None}
    sustained = [rows[name] for name, rate_rps in steps.items() if rate_rps <= sustained_rps]
    return min(sustained) if sustained else sum(rows[name] for name in steps)


INVARIANT = Invariant(
    id="sustained-ratio",
    title="sustained rate against another arm",
    limit=2.0,
    unit="1",
    timing=True,
    compares=True,
    remedy="Look at the first step that was not sustained: the waterfall of its slowest trace shows why.",
    case="requests in the least of the steps that were sustained",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Give each step of the ramp more requests.",
    examine=_examine,
)
