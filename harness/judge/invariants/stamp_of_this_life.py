"""`time_of_last_update` of a restored container is not of the life before.

A platform takes an idle container whose stamp is hours old for one that nobody needs, and ends it, with the
requests that it has just been sent. One whose stamp is of a time that has not come (of another clock, or in
milliseconds) it never ends.
"""

from __future__ import annotations

from math import floor

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import COPIES_STAMPS, HOOKED
from harness.judge.weather import UNHOOKED, copied

ENOUGH_COPIES = 4
ROUNDED_UP_S = 1.0
"""A stamp is of whole seconds."""


def _examine(case: Case) -> Finding:
    told = [(copy, copy.stamp) for copy in case.history.facts.restored if copy.stamp is not None]
    if not told:
        return no_data("no restored container told a stamp")
    if not copied(case.history):
        return no_data(UNHOOKED)
    old = [copy.restored_s - stamp for copy, stamp in told if stamp < floor(copy.restored_s)]
    # each was asked before the load began
    early = sum(stamp > case.history.facts.start_s + ROUNDED_UP_S for _, stamp in told)
    oldest = f", the oldest by {max(old) / 3600:.1f} h" if old else ""
    ahead = f", and {early} one of a time that had not come" if early else ""
    return Finding(
        holds=len(old) + early <= case.limit,
        observed=float(len(old) + early),
        message=f"{len(old)} of {len(told)} restored containers told a stamp from before it{oldest}{ahead}",
        cases=len(told),
        expected=len(case.history.facts.restored),
    )


INVARIANT = Invariant(
    id="stamp-of-this-life",
    title="/ping of a restored container is stamped in this life",
    limit=0,
    unit="{container}",
    remedy="Stamp the status anew when the container notices that it was restored: its clock jumps.",
    case="restored containers whose /ping tells a stamp",
    cases_needed=ENOUGH_COPIES,
    more_cases="Restore more containers.",
    examine=_examine,
    needs=(HOOKED, COPIES_STAMPS),
)
