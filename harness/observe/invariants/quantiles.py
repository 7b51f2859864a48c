"""Half of the answers, or 95 of 100, or 99, are there within what was promised.

A caller's span may end with the head of a stream, whose end comes long after: where answers are in time by
their callers' spans, and not by their containers', nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst
from harness.judge.invariants import p99
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
        examine=_by_both(examine, q),
    )


def _by_both(examine: Callable[[Case], Finding], q: float) -> Callable[[Case], Finding]:
    """Return an examination that knows nothing where callers and containers do not tell the same."""

    def both(case: Case) -> Finding:
        found = examine(case)
        if not found.holds:
            return found
        longest_s = [
            max(each.row.latency_s, each.service_s or 0.0) for each in case.history.requests if each.row.ok
        ]
        longest_ms = (quantile(longest_s, q) or 0.0) * 1e3
        if longest_ms <= case.limit:
            return found
        said = (
            f"containers worked for {longest_ms:.0f} ms, longer than their callers' spans tell: those may "
            "end with the head of a stream, or a container was frozen meanwhile"
        )
        return replace(found, holds=None, message=f"{said}. Seen was: {found.message}")

    return both


P50 = _made("p50", 0.50, 20, 1000)
P95 = _made("p95", 0.95, 40, 2000)
P99 = replace(
    p99.INVARIANT, examine=_by_both(p99.INVARIANT.examine, 0.99), more_cases="Look at a longer time."
)
