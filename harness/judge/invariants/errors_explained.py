"""Every request that failed has a cause that was served to it.

Where faults outlast what retries may outlive, containers are killed at work, or more arrives than may be
worked on, some requests have to fail. A request counts here when it failed, and none of this was done to it:
a model call that got no whole answer in any attempt, as the model API served faults; a container that was
killed meanwhile; a refusal (503) while all containers were full, or while one was, where the balancer offers
a refused request to no other; weather; a conflict (409) with another request of its session at the same time.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.causes import only_late, undecided, unexplained

ENOUGH_REQUESTS = 10
"""With fewer, one in four may fail and none is seen; `min_requests` of an experiment asks for more."""


def _examine(case: Case) -> Finding:
    requests = case.history.requests
    failed = unexplained(case.history)
    explained = sum(not request.row.ok for request in requests) - len(failed)
    looked_at = len(requests) - explained
    if not looked_at:
        return no_data("no request to look at")
    share = len(failed) / looked_at
    first = f"; the first: {failed[0].row.status or 'no answer'}, {failed[0].row.error}" if failed else ""
    doubtful = undecided(case.history, failed)
    open_to_doubt = share > case.limit >= (len(failed) - doubtful) / looked_at
    if open_to_doubt:
        first = f"; a fault may have been the cause of {doubtful}: whose model call met it can't be told"
    return Finding(
        holds=None if open_to_doubt else share <= case.limit,
        observed=share,
        message=(
            f"{len(failed)} of {looked_at} requests failed, and nothing that was done to them explains it; "
            f"{explained} more failed with a cause{first}"
        ),
        traces=worst(request.row.trace_id for request in failed),
        cases=looked_at,
        late=only_late(failed),
    )


INVARIANT = Invariant(
    id="errors-explained",
    title="every request that fails has a cause",
    limit=0.0,
    unit="1",
    remedy="Look at the traces and the agent's log: nothing was served that it had to fail for.",
    case="requests without such a cause",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more requests.",
    examine=_examine,
    of_errors=True,
)
