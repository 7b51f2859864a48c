"""The verdict on what was observed: a run's own way to judge, with a known-bad history for a control arm."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import Final

from harness.analysis.series import series
from harness.analysis.summary import first_tokens_s, summarise
from harness.judge.case import Invariant
from harness.judge.verdict import claimed, judge
from harness.observe import known_bad, together
from harness.observe.checks import OBSERVABLE, REGISTRY
from harness.observe.gathering import OBSERVED, PAGE, Gathering, Known, ObservedHistory
from harness.observe.limits import Limits
from harness.observe.processes import Group
from harness.observe.store import Doubt
from harness.observe.together import Part
from harness.records.outcome import ArmSeries, ArmSummary, CheckResult, ExperimentResult, Outcome
from harness.records.spec import ArmSpec, CheckSpec, ExperimentSpec

KNOWN_BAD: Final = "known-bad"
OF_PARTS: Final[Mapping[str, Invariant]] = {
    name: replace(invariant, cases_needed=min(1, invariant.cases_needed))
    for name, invariant in REGISTRY.items()
}
"""Where tested cases are counted over several stretches of time."""


def checks_of(limits: Limits, wanted: Collection[str] = ()) -> tuple[str, ...]:
    """Return the checks that are made: those wanted, or all but those that need a limit which nobody gave."""
    return tuple(
        name
        for name, each in OBSERVABLE.items()
        if (name in wanted if wanted else not each.asked or name in limits.checks)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """What services are judged by.

    Attributes:
        limits: what was said of them.
        checks: the ids of those that are made.
    """

    limits: Limits
    checks: tuple[str, ...]

    def part(self, history: ObservedHistory, *, of_several: bool = False) -> Part:
        """Judge a service in a stretch of time, and gather what its report draws.

        Args:
            history: what happened in it.
            of_several: whether there are others, over which what is rare is counted.
        """
        registry, summary, spec = OF_PARTS if of_several else REGISTRY, _summary(history), self.spec()
        mine = _of_arm(spec, OBSERVED)
        seen = judge(mine, {OBSERVED: history}, {OBSERVED: summary}, registry, _made)
        bad = self._bad(history, of_several=of_several)
        checks = tuple(chain.from_iterable(zip(seen.checks, bad.checks, strict=True)))
        result = replace(
            seen,
            arms={**seen.arms, **bad.arms},
            checks=checks,
            verdict=claimed(spec, checks, registry),
        )
        good = [each for each in history.requests if each.row.ok]
        evidence = [trace for check in result.checks if check.arm == OBSERVED for trace in check.traces]
        return Part(
            result=result,
            pictures=series(history, evidence),
            latencies_s=array("d", (each.row.latency_s for each in good)),
            first_tokens_s=array("d", first_tokens_s(good)),
            duration_s=history.facts.end_s - history.facts.start_s,
        )

    def conclude(
        self, name: str, parts: Sequence[Part], doubts: tuple[Doubt, ...], told: Sequence[str] = ()
    ) -> tuple[ExperimentResult, dict[tuple[str, str], ArmSeries]]:
        """Return the verdict on a service, and what its report draws.

        Args:
            name: of the service, in reports.
            parts: what came out of each stretch of time.
            doubts: what the store does not have.
            told: what else the report tells.
        """
        needed = {check: OBSERVABLE[check].invariant.cases_needed for check in self.checks}
        checks = tuple(_revised(check, doubts, parts) for check in together.checks_of(parts, needed))
        summary = together.summary_of(parts)
        arms = dict(parts[0].result.arms) | {
            OBSERVED: replace(
                summary, join_warnings=(*(doubt.said for doubt in doubts), *summary.join_warnings, *told)
            )
        }
        result = replace(
            parts[0].result,
            name=name,
            title=name,
            arms=arms,
            checks=checks,
            verdict=claimed(self.spec(), checks, REGISTRY),
        )
        return result, {(name, OBSERVED): together.pictures_of(parts)}

    def spec(self) -> ExperimentSpec:
        """Return what is asked, in the words of an experiment."""
        return ExperimentSpec(
            name=OBSERVED,
            title=OBSERVED,
            claim="What runs keeps what a bench would ask of it, as far as its spans tell.",
            min_requests=self.limits.min_requests,
            arms={
                OBSERVED: ArmSpec(title="what was observed", agent="yours"),
                KNOWN_BAD: ArmSpec(title="the same checks, where everything is wrong", control=True),
            },
            checks=tuple(
                CheckSpec(
                    id=check,
                    limit=self.limits.checks.get(check),
                    holds_in=(OBSERVED,),
                    caught_in=(KNOWN_BAD,),
                )
                for check in self.checks
            ),
        )

    def _bad(self, history: ObservedHistory, *, of_several: bool) -> ExperimentResult:
        """Return what comes out where everything is wrong, and as much was seen."""
        known = self.limits.known
        slots = min(known.concurrency_limit or history.facts.concurrency_limit, known_bad.MOST_SLOTS)
        requests = max(known_bad.LEAST, min(len(history.requests), known_bad.MOST))
        key = _Bad(tuple(self.limits.checks.items()), self.limits.min_requests, requests, slots)
        return _judged_bad(key, self.checks, of_several=of_several)


def _of_arm(spec: ExperimentSpec, arm: str) -> ExperimentSpec:
    """Return what is asked of one arm: neither result has a part in the other."""
    checks = (
        check.model_copy(
            update={
                "holds_in": tuple(each for each in check.holds_in if each == arm),
                "caught_in": tuple(each for each in check.caught_in if each == arm),
            }
        )
        for check in spec.checks
    )
    return spec.model_copy(update={"checks": tuple(checks)})


@dataclass(frozen=True, slots=True)
class _Bad:
    """All that a history in which everything is wrong depends on.

    Attributes:
        checks: their limits, by their ids.
        min_requests: that a verdict needs.
        requests, slots: as many as were observed.
    """

    checks: tuple[tuple[str, float], ...]
    min_requests: int
    requests: int
    slots: int

    @property
    def limits(self) -> Limits:
        """What it has to break."""
        said = Known(concurrency_limit=self.slots, synchronised=True)
        return Limits(checks=dict(self.checks), known=said, min_requests=self.min_requests)


@lru_cache(maxsize=64)
def _judged_bad(bad: _Bad, checks: tuple[str, ...], *, of_several: bool) -> ExperimentResult:
    """Judge what breaks every check: the same for each service, and each stretch of time, that is as long.

    It has more requests than most stretches, so that to judge it anew with each took most of the time.
    """
    history, summary = _known_bad(bad)
    spec = _of_arm(Judging(limits=bad.limits, checks=checks).spec(), KNOWN_BAD)
    registry = OF_PARTS if of_several else REGISTRY
    return judge(spec, {KNOWN_BAD: history}, {KNOWN_BAD: summary}, registry)


@lru_cache(maxsize=4)
def _known_bad(bad: _Bad) -> tuple[ObservedHistory, ArmSummary]:
    """Return what breaks every check, and its figures."""
    limits, gathering = bad.limits, Gathering((known_bad.SERVICE,))
    gathering.take(known_bad.spans(limits, bad.requests, bad.slots))
    (history,) = gathering.histories(limits.known).values()
    history = replace(history, facts=replace(history.facts, arm=KNOWN_BAD, control=True))
    return history, replace(summarise(history), control=True)


def title_of(group: Group) -> str:
    """Return what a service is called in reports."""
    service, place = group
    return f"{service} ({place})" if place else service


def _summary(history: ObservedHistory) -> ArmSummary:
    summary = summarise(history)
    told = list[str]()
    if left := sum(each.row.left and each.row.error != PAGE for each in history.requests):
        told.append(
            f"{left} of {len(history.requests)} requests are neither successes nor failures: who asked was "
            "at fault, had left, or was sent elsewhere"
        )
    if told_of_pages := _without_work(history):
        told.append(told_of_pages)
    if "concurrency_limit" in history.facts.learnt:
        told.append(
            f"learnt: {len(history.facts.containers)} containers; the most that one worked on at once, "
            f"{history.facts.concurrency_limit}, is taken for its limit"
        )
    return replace(summary, join_warnings=tuple(told))


def _without_work(history: ObservedHistory) -> str:
    """Say how many requests are of a kind that no Agent works on; an empty text for none."""
    idle = Counter(
        each.server.name for each in history.requests if each.server is not None and each.row.error == PAGE
    )
    if not idle:
        return ""
    ((most, _),) = idle.most_common(1)
    return (
        f"{idle.total()} of {len(history.requests)} requests are of {len(idle)} kinds that no Agent works "
        f"on, such as {most}: shares and quantiles are of the others, and of those that failed"
    )


def _made(check: CheckResult) -> CheckResult:
    """Return what counts of a check of a stretch: where there was nothing to look at, it is not made.

    It makes no claim then, and no green.
    """
    if check.arm == OBSERVED and check.verdict is Outcome.UNKNOWN and check.cases == 0:
        return replace(check, verdict=Outcome.NOT_MADE, message=f"nothing to look at: {check.message}")
    return check


def _revised(check: CheckResult, doubts: tuple[Doubt, ...], parts: Sequence[Part]) -> CheckResult:
    """Return what counts of a check: what the store hides or feigns makes it unknown."""
    if check.arm != OBSERVED:
        return check
    untimely = next((each for each in doubts if each.kind == "untimely"), None)
    if check.verdict is Outcome.UNKNOWN and untimely is not None:  # it may be why there is too little
        return replace(check, message=f"{untimely.said}. Else: {check.message}")
    misled_by = {
        Outcome.PASS: OBSERVABLE[check.id].hidden_by,
        Outcome.FAIL: OBSERVABLE[check.id].feigned_by,
    }.get(check.verdict, frozenset())
    doubt = next((each for each in doubts if each.kind in misled_by), None)
    if doubt is not None:
        return replace(check, verdict=Outcome.UNKNOWN, message=f"{doubt.said}. Seen was: {check.message}")
    sampled = next((each for each in doubts if each.kind == "sampled" and each.kept), None)
    decided = check.verdict in {Outcome.PASS, Outcome.FAIL}
    if not decided or sampled is None or together.is_of_all(check, parts, sampled.kept or 1.0):
        return check
    said = f"{sampled.said}: that all of them are on this side of the limit may be chance"
    return replace(check, verdict=Outcome.UNKNOWN, message=f"{said}. Seen was: {check.message}")
