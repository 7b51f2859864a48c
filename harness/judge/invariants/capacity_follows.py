"""Where more comes than the containers have slots for, there are soon as many as it takes.

What a phase of the load brings is its requests a second, times the seconds that one holds a slot: so many are
at work at a time, on average. The phase's share counts in which there were no slots for them, with what was
decided and what the new containers' start took in it; and for as long callers waited. Containers that come,
and are taken away again at once, are none that follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.evidence import SERVER_SPANS
from harness.quantiles import nearest_rank
from harness.records.history import ArmHistory, JoinedRequest
from harness.records.setup import ArmFacts, Window

ENOUGH_REQUESTS = 30
"""How many are at work at a time is then known to a fifth of it, as a count of arrivals."""
SHOWN_S = 0.05
"""What is less is nothing in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A phase that brings more than there were slots for.

    Attributes:
        phase: it.
        begin_s: when it began, in Unix seconds.
        brings: requests at work at a time.
        before: the containers that there were.
        requests: that were due in it.
        took_s: until there were slots for them; None for not at all.
        short_s: for so long there were none, those after it counted.
    """

    phase: Window
    begin_s: float
    brings: float
    before: int
    requests: Sequence[JoinedRequest]
    took_s: float | None
    short_s: float

    @property
    def length_s(self) -> float:
        """How long it lasts."""
        return self.phase.to_s - self.phase.from_s

    @property
    def share(self) -> float:
        """What of it there were no slots for them; all of it where there never were."""
        return 1.0 if self.took_s is None else self.short_s / self.length_s


def _examine(case: Case) -> Finding:
    facts = case.history.facts
    steps = [
        step
        for phase in facts.windows
        if phase.kind == "phase" and (step := _step(case.history, phase)) is not None
    ]
    if not steps:
        return no_data("no phase of the load brought more than the containers had slots for, by their spans")
    worst_step = max(steps, key=lambda step: step.share)
    meanwhile = [each for each in worst_step.requests if _is_meanwhile(worst_step, each)]
    return Finding(
        holds=worst_step.share <= case.limit,
        observed=worst_step.share,
        message=f"{_told(worst_step, facts)}: {worst_step.share:.2f} of it, limit {case.limit:.3g}",
        traces=worst(each.row.trace_id for each in sorted(meanwhile, key=lambda each: -each.row.latency_s)),
        cases=len(worst_step.requests),
    )


def _step(history: ArmHistory, phase: Window) -> _Step | None:
    facts = history.facts
    begin_s, end_s = facts.start_s + phase.from_s, facts.start_s + phase.to_s
    requests = [request for request in history.requests if begin_s <= request.row.due_s < end_s]
    held_s = [request.held_s for request in requests if request.held_s is not None]
    if not held_s:
        return None
    brings = len(requests) * sum(held_s) / len(held_s) / (end_s - begin_s)
    before = _there(facts, begin_s)
    if before * facts.concurrency_limit >= brings:
        return None
    joins = sorted(
        each.joined_s for each in facts.containers if each.joined_s and begin_s < each.joined_s < end_s
    )
    enough = (at_s for at_s in joins if _there(facts, at_s) * facts.concurrency_limit >= brings)
    at_s = next(enough, None)
    return _Step(
        phase=phase,
        begin_s=begin_s,
        brings=brings,
        before=before,
        requests=requests,
        took_s=None if at_s is None else at_s - begin_s,
        short_s=_short_s(facts, brings, begin_s, min(end_s, facts.end_s)),
    )


def _there(facts: ArmFacts, at_s: float) -> int:
    """Return how many containers the balancer sends to at a time."""
    return sum(from_s <= at_s < to_s for from_s, to_s in _lives(facts))


def _short_s(facts: ArmFacts, brings: float, from_s: float, to_s: float) -> float:
    """Return for how long of a stretch of time there were fewer slots than requests at a time."""
    changes = {each for life in _lives(facts) for each in life if from_s < each < to_s}
    return sum(
        later_s - at_s
        for at_s, later_s in pairwise(sorted({from_s, to_s} | changes))
        if _there(facts, at_s) * facts.concurrency_limit < brings
    )


def _lives(facts: ArmFacts) -> list[tuple[float, float]]:
    return [each.present(facts.start_s, facts.end_s) for each in facts.containers]


def _told(step: _Step, facts: ArmFacts) -> str:
    limit = facts.concurrency_limit
    had = f"{step.before} container{'' if step.before == 1 else 's'} had {step.before * limit} slots"
    brings = f"{step.phase.name} brings {step.brings:.1f} requests at a time, and {had}"
    within = [request for request in step.requests if request.row.ok]
    meanwhile = [each for each in within if _is_meanwhile(step, each)]
    after = [each for each in within if not _is_meanwhile(step, each)]
    slow = f"p99 {_p99(meanwhile)} meanwhile" + (f" and {_p99(after)} after it" if after else "")
    if step.took_s is None:
        return f"{brings}; in {step.length_s:.1f} s there were never enough, {slow}"
    there = _there(facts, step.begin_s + step.took_s)
    added = [event.time_s - step.begin_s for event in facts.events if event.action == "add"]
    asked_s = min((at_s for at_s in added if 0 <= at_s <= step.took_s), default=None)
    asked = "" if asked_s is None else f" (the first was asked for after {asked_s:.1f} s)"
    again_s = step.short_s - step.took_s
    again = f", and for {again_s:.1f} s there were too few again" if again_s >= SHOWN_S else ""
    return f"{brings}; after {step.took_s:.1f} s there were {there}{asked}{again}, {slow}"


def _is_meanwhile(step: _Step, request: JoinedRequest) -> bool:
    return step.took_s is None or request.row.due_s < step.begin_s + step.took_s


def _p99(requests: Sequence[JoinedRequest]) -> str:
    """Return the p99 of some latencies in words; of few, that is the slowest."""
    ranked = sorted(request.row.latency_s for request in requests)
    return f"{nearest_rank(ranked, 0.99):.1f} s" if ranked else "unknown"


INVARIANT = Invariant(
    id="capacity-follows",
    title="capacity follows the load",
    limit=0.5,
    unit="1",
    timing=True,
    remedy="See when containers were asked for, and how long they took to start: the metric, its period, or "
    "the start is too slow.",
    case="requests of a phase that brings more than there were slots for",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Let the phase last longer, or send more.",
    examine=_examine,
    of_spans=True,
    needs=(SERVER_SPANS,),
)
