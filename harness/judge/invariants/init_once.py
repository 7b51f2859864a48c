"""Each client is built exactly once per container, if it is needed there.

First builds alone are counted: one in place of a client that had broken is `reinit`, and `reinits-explained`
looks for its cause. Builds of which no container is known count for the whole fleet: where there are more of
a client than containers, one of these built it twice. And clients whose names no other container knows may be
one that is built time and again under a name of its own each: with more than a few of them it is unknown.
"""

from __future__ import annotations

from collections import Counter

from harness import contract
from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import INIT_SPANS
from harness.records.history import ArmHistory
from harness.records.seen import Span

ENOUGH_REQUESTS = 30
"""Each of them could have built a client again; where one in ten does, 96 of 100 runs have it."""


MOST_ALONE = 8
"""Clients of one container that no other one has: what one alone needed, or a fleet of one."""


def _examine(case: Case) -> Finding:
    cold = [span for span in case.history.inits if _built(span) and span.instance is not None]
    if not cold:
        return no_data("no client.init span was seen, or none tells its container")
    counts = Counter(_key(span) for span in cold)
    totals = Counter(client for _, client in counts.elements())
    telling = {container for container, _ in counts}
    came = [request.container for request in case.history.requests if request.container]
    containers = set(came)
    missing = sorted(f"{c} in {name}" for name in containers for c in totals if (name, c) not in counts)
    most = max(counts.values())
    lost = _of_nowhere(case.history)
    nowhere = Counter(_key(span)[1] for span in lost)
    there = len({each.name for each in case.history.facts.containers} | containers | telling)
    most = max([most, *(-(-(totals[client] + number) // there) for client, number in nowhere.items())])
    message = (
        f"inits over {len(containers)} containers: {', '.join(f'{c} {n}' for c, n in sorted(totals.items()))}"
    )
    message += f"; at most {most} of one client in one container"
    if again := sum(
        span.attributes.get(contract.CLIENT_INIT_STATE) == "reinit" for span in case.history.inits
    ):
        message += f"; {again} more in place of one that was given up"
    if nowhere:
        message += f"; {nowhere.total()} more of which no container is known"
    if missing:
        message += f"; none seen of {', '.join(missing)}, which may have needed none"
    repeated = (
        sorted((span for span in cold if counts[_key(span)] > case.limit), key=lambda s: -counts[_key(s)])
        or lost
    )
    known_in = Counter(client for _, client in counts)
    alone = Counter(container for container, client in counts if known_in[client] == 1)
    doubt = most <= case.limit and max(alone.values(), default=0) > MOST_ALONE
    if doubt:
        message += f"; {max(alone.values())} clients of one have names that no other has: leave out ids"
    return Finding(
        holds=None if doubt else most <= case.limit,
        observed=float(most),
        message=message,
        traces=worst(span.trace_id for span in repeated if most > case.limit),
        cases=sum(container in telling for container in came) - len(containers & telling),
    )


def _built(span: Span) -> bool:
    """Whether it is a first build that worked: one that failed has to be tried again."""
    return span.attributes.get(contract.CLIENT_INIT_STATE) == "cold" and not span.error


def _of_nowhere(history: ArmHistory) -> list[Span]:
    """Return the first builds of which no container is known, where it is known how many there were."""
    known = "containers" not in history.facts.learnt
    return [span for span in history.inits if known and _built(span) and span.instance is None]


def _key(span: Span) -> tuple[str | None, str]:
    return span.instance, str(span.attributes.get(contract.CLIENT_NAME))


INVARIANT = Invariant(
    id="init-once",
    title="each client is built exactly once per container",
    limit=1,
    unit="{init}",
    remedy="Build clients through a single-flight cache (the client-cache pattern) and share them.",
    case="requests that came to a container after its first",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Send more requests.",
    examine=_examine,
    of_spans=True,
    needs=(INIT_SPANS,),
)
