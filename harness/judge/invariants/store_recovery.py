"""Once the weather is over, requests succeed again within seconds.

Of each failure it is asked how long before it the last weather that befell its container had ended. The
longest is the figure: a client that holds on to a broken connection fails for as long as its container lives.
One that was still in work when other weather began tells nothing. A container that from then on is asked, and
refuses each request, so that another one has to answer it, has not recovered either: nobody sees that fail.
What failed for another reason that is known (a fault of the model, a container that was killed, a conflict
in its session) is no failure to recover; that containers are full is none, for they may be so of what hangs.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.causes import unexplained
from harness.judge.stays import stays
from harness.judge.weather import befell, clear_since, weathers
from harness.records.history import ArmHistory

ENOUGH_LATE = 8
"""Sooner nothing would be late. Who is still broken answers none of them; one container of four that is goes
unseen in 10 of 100 runs (`0.75^8`)."""
ENOUGH_REFUSALS = 3
"""One that works on something may refuse some meanwhile; it answers that, then."""


def _examine(case: Case) -> Finding:
    history = case.history
    over = weathers(history)
    if not over:
        return no_data("there was no weather")
    after = {each.row.trace_id: clear_since(each, history) for each in history.requests}
    failed = [each.row for each in unexplained(history, weather=False)]
    late = {row.trace_id: clear_s for row in failed if (clear_s := after[row.trace_id]) is not None}
    ended_s = history.facts.start_s + max(window.to_s for window in over)
    then = sum(each.row.sent_s > ended_s for each in history.requests)
    late_enough = sum(clear_s is not None and clear_s > case.limit for clear_s in after.values())
    failed_late = len(late)
    refusing = dict(_refusing(history, case.limit))
    late |= {trace: clear_s for clear_s, trace in refusing.values()}
    longest_s = max(late.values(), default=0.0)
    said = f"; {', '.join(refusing)} refused all that came later than that" if refusing else ""
    worst_first = sorted(late, key=lambda trace: -late[trace])
    return Finding(
        holds=longest_s <= case.limit,
        observed=longest_s,
        message=f"{len(failed)} requests failed, {failed_late} of them sent when the weather was over, at "
        f"the latest {longest_s:.1f} s after its end; {then} were sent after the last{said}",
        traces=worst(worst_first),
        cases=late_enough,
    )


def _refusing(history: ArmHistory, limit_s: float) -> Iterator[tuple[str, tuple[float, str]]]:
    """Yield each container that answers nobody any more: how long after its weather, and a trace."""
    facts = history.facts
    troubled = {event.container for event in facts.events}
    refused = [
        (stay, each.row.trace_id)
        for each in history.requests
        for stay in stays(each, history)
        if stay.container != each.container
    ]
    for name in (each.name for each in facts.containers if each.left_s is None):
        mine = [window.to_s for window in weathers(history) if befell(window, name)]
        if name in troubled or not mine:
            continue
        clear_s = facts.start_s + max(mine)
        asked = {
            trace: stay.from_s - clear_s
            for stay, trace in refused
            if stay.container == name and stay.from_s > clear_s + limit_s
        }
        lives = any(
            each.container == name and each.row.ok and each.row.end_s > clear_s + limit_s
            for each in history.requests
        )
        if len(asked) >= ENOUGH_REFUSALS and not lives:
            last = max(asked, key=lambda trace: asked[trace])
            yield name, (asked[last], last)


INVARIANT = Invariant(
    id="store-recovery",
    title="within seconds after the weather all is well",
    limit=5.0,
    unit="s",
    timing=True,
    remedy="Let go of all idle connections after an error of one, and ask anew where the primary is.",
    case="requests that were sent when all had to be well again",
    cases_needed=ENOUGH_LATE,
    more_cases="Let the load last longer after the weather, or send more.",
    examine=_examine,
)
