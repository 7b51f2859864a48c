"""Those who were throttled together don't come back together.

First, second and third retries are looked at by themselves, in the whole fleet: the jitter of one of these
waits says nothing of the next.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst
from harness.judge.evidence import MODEL_CALLS, WHOSE_CALLS
from harness.records.history import ENOUGH_RETRIES

ORDINAL = {1: "first", 2: "second", 3: "third"}


def _examine(case: Case) -> Finding:
    herd = case.history.herd
    if not herd.first_retries:
        return no_data("no call was tried again")
    if herd.share is None:
        return Finding(
            holds=None,
            observed=None,
            message="chance alone puts so few together",
            cases=herd.first_retries,
        )
    window = f"{herd.window_s * 1000:.0f} ms"
    return at_most(
        case,
        herd.share,
        f"of {herd.retries} {ORDINAL[herd.retry]} retries, largest share within {window}",
        worst(herd.traces),
        cases=herd.first_retries,
    )


INVARIANT = Invariant(
    id="herd-share",
    title="retries do not come as a herd",
    limit=0.2,
    unit="1",
    timing=True,
    remedy="Add a random part to the backoff of each retry, also on top of Retry-After.",
    case="first retries of those who were turned away together",
    cases_needed=ENOUGH_RETRIES[1],
    more_cases="Send more requests while the fault lasts.",
    examine=_examine,
    of_calls=True,
    needs=(MODEL_CALLS, WHOSE_CALLS),
)
