"""Half of the answers, or 95 of 100, are there within what was promised."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst
from harness.quantiles import quantile


def _made(name: str, q: float, needed: int, limit_ms: float) -> Invariant:
    def examine(case: Case) -> Finding:
        good = sorted((r.row for r in case.history.requests if r.row.ok), key=lambda row: -row.latency_s)
        if not good:
            return no_data("no request was answered")
        value_s = quantile([row.latency_s for row in good], q)
        if value_s is None:
            return Finding(
                holds=None, observed=None, message=f"there is no {name} of so few", cases=len(good)
            )
        over = worst(row.trace_id for row in good if row.latency_s * 1e3 > case.limit)
        return at_most(case, value_s * 1e3, f"{name} of the successes in ms:", over, cases=len(good))

    return Invariant(
        id=name,
        title=f"{name} is within what was promised",
        limit=limit_ms,
        unit="ms",
        timing=True,
        remedy="The traces are the slowest: their longest span says which part to look at.",
        case="successes",
        cases_needed=needed,
        more_cases="Look at a longer time.",
        examine=examine,
    )


P50 = _made("p50", 0.50, 20, 1000)
P95 = _made("p95", 0.95, 40, 2000)
