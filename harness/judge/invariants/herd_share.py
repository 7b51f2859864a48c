"""Those who were throttled together don't come back together."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst
from harness.judge.evidence import MODEL_CALLS


def _examine(case: Case) -> Finding:
    herd = case.history.herd
    if herd.share is None:
        return no_data(f"{herd.first_retries} first retries are too few to tell a herd from chance")
    return at_most(
        case,
        herd.share,
        f"of {herd.first_retries} first retries, largest share within 100 ms",
        worst(herd.traces),
    )


INVARIANT = Invariant(
    id="herd-share",
    title="retries do not come as a herd",
    limit=0.2,
    unit="1",
    timing=True,
    remedy="Add a random part to the backoff, also on top of Retry-After.",
    examine=_examine,
    needs=(MODEL_CALLS,),
)
