"""The checks that spans alone allow: most of a run's own, and what each needs said for production."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from harness.judge.case import Invariant
from harness.judge.evidence import AGENT_IDS, INIT_SPANS, SESSION_LOADS, SESSION_SAVES, Evidence
from harness.judge.invariants import REGISTRY as OF_RUNS
from harness.observe.evidence import (
    ATTEMPTS,
    CONTAINERS,
    FIRST_TOKENS,
    LIMIT,
    MODEL_CALLS,
    RETRY_AFTER,
    WAITS,
)
from harness.observe.invariants import (
    first_requests,
    hidden_retries,
    idle_while_waiting,
    ids_unique,
    init_once,
    load_spread,
    no_errors,
    session_apart,
    traces_whole,
)
from harness.observe.invariants.quantiles import P50, P95, P99
from harness.observe.store import Kind

LONGER: Final = "Look at a longer time, or at one with errors of the model API."
ALL: Final = frozenset[Kind]({"sampled", "uneven", "lost", "truncated", "untimely"})
MISSING: Final = frozenset[Kind]({"uneven", "lost", "truncated", "untimely"})
CUT: Final = frozenset[Kind]({"truncated", "untimely"})
SKEWED: Final = frozenset[Kind]({"skewed"})
ACROSS: Final = SKEWED | frozenset[Kind]({"unclocked"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Observable:
    """A check that can be made on spans alone.

    Attributes:
        invariant: what must hold.
        asked: whether it is made only where a limit is given for it: there is no such thing as a right one.
        hidden_by: what a store may have wrong, so that a fault may be there, and not be seen.
        feigned_by: so that one may be seen that is not there.
    """

    invariant: Invariant
    asked: bool = False
    hidden_by: frozenset[Kind] = frozenset()
    feigned_by: frozenset[Kind] = frozenset()


def _of_runs(
    name: str,
    *needs: Evidence,
    limit: float | None = None,
    asked: bool = False,
    hidden_by: frozenset[Kind] = ALL,
    feigned_by: frozenset[Kind] = frozenset(),
) -> Observable:
    known = OF_RUNS[name]
    # what is seen in production is all that there is, and clocks are looked at here: see `Observable`
    made = replace(
        known,
        needs=needs,
        limit=known.limit if limit is None else limit,
        more_cases=LONGER,
        clocks=False,
        of_calls=False,
    )
    return Observable(invariant=made, asked=asked, hidden_by=hidden_by, feigned_by=feigned_by)


def _own(
    invariant: Invariant,
    *,
    asked: bool = False,
    hidden_by: frozenset[Kind] = ALL,
    feigned_by: frozenset[Kind] = frozenset(),
) -> Observable:
    made = replace(invariant, clocks=False)
    return Observable(invariant=made, asked=asked, hidden_by=hidden_by, feigned_by=feigned_by)


_ALL: Final = (
    # shares and quantiles are the same in a sample, if whole traces are left out by chance
    _own(no_errors.INVARIANT, hidden_by=MISSING, feigned_by=MISSING),
    _own(P50, asked=True, hidden_by=MISSING, feigned_by=MISSING),
    _own(P95, asked=True, hidden_by=MISSING, feigned_by=MISSING),
    _own(P99, asked=True, hidden_by=MISSING, feigned_by=MISSING),
    # from the caller's clock to the container's
    _of_runs("ttft", FIRST_TOKENS, asked=True, hidden_by=MISSING | SKEWED, feigned_by=MISSING | SKEWED),
    _own(first_requests.INVARIANT, asked=True, feigned_by=ALL),
    # of single calls: what is there of them is true
    _of_runs("attempts-bounded", MODEL_CALLS, ATTEMPTS, hidden_by=MISSING),
    _of_runs("amplification", MODEL_CALLS, ATTEMPTS, hidden_by=MISSING),
    _of_runs("permanent-once", MODEL_CALLS, ATTEMPTS, hidden_by=MISSING),
    _of_runs(
        "retry-after-respected", MODEL_CALLS, ATTEMPTS, RETRY_AFTER, hidden_by=MISSING, feigned_by=MISSING
    ),
    _of_runs("transient-survived", MODEL_CALLS, ATTEMPTS, hidden_by=MISSING, feigned_by=MISSING),
    _own(hidden_retries.INVARIANT, hidden_by=MISSING),
    # of what happens at once in all containers
    _of_runs(
        "herd-share",
        MODEL_CALLS,
        ATTEMPTS,
        hidden_by=ALL | ACROSS,
        feigned_by=MISSING | SKEWED,
    ),
    _of_runs("delays-differ", CONTAINERS, MODEL_CALLS, ATTEMPTS, feigned_by=MISSING),
    _of_runs("inflight-limit", CONTAINERS, LIMIT),
    _own(idle_while_waiting.INVARIANT, hidden_by=ALL | ACROSS, feigned_by=ALL | ACROSS),
    _of_runs("no-503-while-idle", CONTAINERS, WAITS, hidden_by=ALL | ACROSS, feigned_by=ALL | ACROSS),
    _own(load_spread.INVARIANT, hidden_by=ALL | ACROSS, feigned_by=ALL | ACROSS),
    _own(session_apart.INVARIANT, hidden_by=ALL | ACROSS, feigned_by=ACROSS),
    # of containers and what they keep
    _own(init_once.INVARIANT),
    _of_runs("reinits-explained", INIT_SPANS, CONTAINERS, feigned_by=ALL),
    _of_runs("fresh-agent", AGENT_IDS),
    _of_runs(
        "saved-before-answer", SESSION_SAVES, WAITS, hidden_by=MISSING | ACROSS, feigned_by=ALL | ACROSS
    ),
    _of_runs("session-load-tail", SESSION_LOADS, SESSION_SAVES, hidden_by=MISSING, feigned_by=MISSING),
    _own(ids_unique.INVARIANT),
    _own(traces_whole.INVARIANT, hidden_by=CUT, feigned_by=CUT),
)

OBSERVABLE: Final[Mapping[str, Observable]] = MappingProxyType({each.invariant.id: each for each in _ALL})
REGISTRY: Final[Mapping[str, Invariant]] = MappingProxyType(
    {name: each.invariant for name, each in OBSERVABLE.items()}
)
