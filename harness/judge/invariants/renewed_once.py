"""After a restore, each client is built anew once a container, and not by each of the first requests.

A container that was restored needs new connections and new tokens. Its first requests come together: without
a build that they share, each of them logs in. A build that failed is none: it has to be tried again. Clients
whose names no other container knows may be one that is built time and again, under a name of its own each:
with more than a few of them it is unknown.
"""

from __future__ import annotations

from collections import Counter

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import INIT_SPANS

ENOUGH_CLIENTS = 4
"""One of each of four copies."""
MOST_ALONE = 8
"""Clients of one container that no other one has: what one alone needed."""


def _examine(case: Case) -> Finding:
    history = case.history
    if not history.facts.restored:
        return no_data("no container was restored from a snapshot")
    since_ns = min(copy.restored_s for copy in history.facts.restored) * 1e9
    built = [span for span in history.inits if span.start_ns >= since_ns and not span.error]
    times = Counter((span.instance, str(span.attributes.get(contract.CLIENT_NAME))) for span in built)
    if not times:
        return no_data("no client was built after the restore")
    often = {client: count for client, count in times.items() if count > 1}
    (name, client), most = times.most_common(1)[0]
    known_in = Counter(client for _, client in times)
    alone = Counter(container for container, client in times if known_in[client] == 1)
    doubt = not often and max(alone.values(), default=0) > MOST_ALONE
    said = f", most often {client} of {name}, {most} times" if often else ""
    if doubt:
        said += f"; {max(alone.values())} clients of one have names that no other has: leave out ids"
    again = [
        span.trace_id for span in built if (span.instance, span.attributes.get(contract.CLIENT_NAME)) in often
    ]
    return Finding(
        holds=None if doubt else len(often) <= case.limit,
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
