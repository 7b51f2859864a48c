"""After a restore, each client is built anew once a container, and not by each of the first requests.

A container that was restored needs new connections and new tokens. Its first requests come together: without
a build that they share, each of them logs in.
"""

from __future__ import annotations

from collections import Counter

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import INIT_SPANS

ENOUGH_CLIENTS = 4
"""One of each of four copies."""


def _examine(case: Case) -> Finding:
    history = case.history
    if not history.facts.restored:
        return no_data("no container was restored from a snapshot")
    since_ns = min(copy.restored_s for copy in history.facts.restored) * 1e9
    built = [span for span in history.inits if span.start_ns >= since_ns]
    times = Counter((span.instance, str(span.attributes.get(contract.CLIENT_NAME))) for span in built)
    if not times:
        return no_data("no client was built after the restore")
    often = {client: count for client, count in times.items() if count > 1}
    (name, client), most = times.most_common(1)[0]
    said = f", most often {client} of {name}, {most} times" if often else ""
    again = [
        span.trace_id for span in built if (span.instance, span.attributes.get(contract.CLIENT_NAME)) in often
    ]
    return Finding(
        holds=len(often) <= case.limit,
        observed=float(len(often)),
        message=f"of {len(times)} clients that were built after the restore, {len(often)} were more than "
        f"once{said}",
        traces=worst(again),
        cases=len(times),
    )


INVARIANT = Invariant(
    id="renewed-once",
    title="a restored container renews each client once",
    limit=0,
    unit="{client}",
    remedy="Share the build: the first who needs the client starts it, all others wait for it "
    "(docs/patterns.md, client cache).",
    case="clients that were built after the restore",
    cases_needed=ENOUGH_CLIENTS,
    more_cases="Restore more containers.",
    examine=_examine,
    of_spans=True,
    needs=(INIT_SPANS,),
)
