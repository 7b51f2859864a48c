"""The rate that is sustained is higher than in another arm, by as much as was claimed."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data


def _examine(case: Case) -> Finding:
    if case.versus is None or case.versus.sustained_rps is None or case.summary.sustained_rps is None:
        return no_data("both arms need a ramp")
    own_rps, other_rps = case.summary.sustained_rps, case.versus.sustained_rps
    if not other_rps:
        return no_data("the other arm sustains not even the first step: begin the ramp lower")
    ratio = own_rps / other_rps
    return Finding(
        holds=ratio >= case.limit,
        observed=ratio,
        message=f"{own_rps:g} requests/s sustained against {other_rps:g} in the other arm: "
        f"ratio {ratio:.3g}, limit {case.limit:.3g}",
    )


INVARIANT = Invariant(
    id="sustained-ratio",
    title="sustained rate against another arm",
    limit=2.0,
    unit="1",
    timing=True,
    compares=True,
    remedy="Look at the first step that was not sustained: the waterfall of its slowest trace shows why.",
    examine=_examine,
)
