"""Those who were throttled together don't come back together."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst

ENOUGH_RETRIES = 50


def _examine(case: Case) -> Finding:
    first = [row for row in case.history.journal if row.attempt == 2]  # noqa: PLR2004 - the first retry
    if len(first) < ENOUGH_RETRIES:
        return no_data(f"{len(first)} first retries are too few, {ENOUGH_RETRIES} are needed")
    return at_most(
        case,
        case.summary.herd_share,
        f"of {len(first)} first retries, largest share within 100 ms",
        worst(row.trace_id for row in first),
    )


INVARIANT = Invariant(
    id="herd-share",
    title="retries do not come as a herd",
    limit=0.2,
    unit="1",
    timing=True,
    remedy="Add a random part to the backoff, also on top of Retry-After.",
    examine=_examine,
)
