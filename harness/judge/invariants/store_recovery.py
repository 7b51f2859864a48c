"""Once the weather is over, requests succeed again within seconds.

Of each failure it is asked how long before it the last weather that befell its container had ended. The
longest is the figure: a client that holds on to a broken connection fails for as long as its container lives.
One that was still in work when other weather began tells nothing.
What failed for another reason that is known (a fault of the model, a container that was killed, a conflict
in its session) is no failure to recover; that containers are full is none, for they may be so of what hangs.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.causes import unexplained
from harness.judge.weather import clear_since, weathers

ENOUGH_ANSWERS = 20
"""After the last weather: who is still broken answers none of them."""


def _examine(case: Case) -> Finding:
    history = case.history
    over = weathers(history)
    if not over:
        return no_data("there was no weather")
    after = {each.row.trace_id: clear_since(each, history) for each in history.requests}
    failed = [each.row for each in unexplained(history, weather=False)]
    late = {row.trace_id: clear_s for row in failed if (clear_s := after[row.trace_id]) is not None}
    longest_s = max(late.values(), default=0.0)
    ended_s = history.facts.start_s + max(window.to_s for window in over)
    then = sum(each.row.sent_s > ended_s for each in history.requests)
    worst_first = sorted(late, key=lambda trace: -late[trace])
    return Finding(
        holds=longest_s <= case.limit,
        observed=longest_s,
        message=f"{len(failed)} requests failed, {len(late)} of them sent when the weather was over, at the "
        f"latest {longest_s:.1f} s after its end; {then} were sent after the last",
        traces=worst(worst_first),
        cases=then,
    )


INVARIANT = Invariant(
    id="store-recovery",
    title="within seconds after the weather all is well",
    limit=5.0,
    unit="s",
    timing=True,
    remedy="Let go of all idle connections after an error of one, and ask anew where the primary is.",
    case="requests that were sent after the last weather",
    cases_needed=ENOUGH_ANSWERS,
    more_cases="Send more after the weather.",
    examine=_examine,
)
