"""No request fails without cause, as on a bench; but where many callers leave, it may be that nobody answers.

Who closes a page leaves a request that is neither a success nor a failure. Who waited as long as he would
leaves the same, and an agent that hangs has no other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from harness.judge.case import Case, Finding
from harness.judge.invariants import no_errors
from harness.observe.dialects.proxies import CLIENT_CLOSED
from harness.observe.gathering import NO_ANSWER
from harness.records.history import JoinedRequest

MOST_GONE: Final = 0.1
"""Of all requests: so many readers leave a page of themselves, and hardly more."""


def _examine(case: Case) -> Finding:
    found, requests = no_errors.INVARIANT.examine(case), case.history.requests
    gone = sum(map(_is_gone, requests))
    if found.holds is False or gone <= MOST_GONE * len(requests):
        return found
    said = (
        f"{gone} of {len(requests)} callers left before they had an answer: they may have waited in vain, "
        "and nothing tells"
    )
    return replace(found, holds=None, cases=found.cases + gone, message=f"{said}. Seen was: {found.message}")


def _is_gone(request: JoinedRequest) -> bool:
    row = request.row
    return row.left and (row.status == CLIENT_CLOSED or row.error == NO_ANSWER)


INVARIANT = replace(no_errors.INVARIANT, limit=0.01, examine=_examine, more_cases="Look at a longer time.")
