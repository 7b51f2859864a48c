"""The verdict on what was observed: a run's own way to judge, with a known-bad history for a control arm."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from harness.analysis.series import series
from harness.analysis.summary import summarise
from harness.judge.case import Invariant
from harness.judge.verdict import claimed, judge
from harness.observe import known_bad, together
from harness.observe.checks import OBSERVABLE, REGISTRY
from harness.observe.gathering import OBSERVED, Gathering, Known, ObservedHistory
from harness.observe.limits import Limits
from harness.observe.requests import Group
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
        registry = OF_PARTS if of_several else REGISTRY
        bad, bad_summary = self._bad(history)
        histories = {OBSERVED: history, KNOWN_BAD: bad}
        summaries = {OBSERVED: _summary(history), KNOWN_BAD: bad_summary}
        result = judge(self._spec(), histories, summaries, registry, _made)
        evidence = [trace for check in result.checks if check.arm == OBSERVED for trace in check.traces]
        return Part(
            result=result,
            pictures=series(history, evidence),
            latencies_s=array("d", (each.row.latency_s for each in history.requests if each.row.ok)),
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
        checks = tuple(_revised(check, doubts) for check in together.checks_of(parts, needed))
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
            verdict=claimed(self._spec(), checks, REGISTRY),
        )
        return result, {(name, OBSERVED): together.pictures_of(parts)}

    def _spec(self) -> ExperimentSpec:
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

    def _bad(self, history: ObservedHistory) -> tuple[ObservedHistory, ArmSummary]:
        known = self.limits.known
        slots = min(known.concurrency_limit or history.facts.concurrency_limit, known_bad.MOST_SLOTS)
        requests = max(known_bad.LEAST, min(len(history.requests), known_bad.MOST))
        return _known_bad(tuple(self.limits.checks.items()), self.limits.min_requests, requests, slots)


@lru_cache(maxsize=4)
def _known_bad(
    checks: tuple[tuple[str, float], ...], min_requests: int, requests: int, slots: int
) -> tuple[ObservedHistory, ArmSummary]:
    """Return what breaks every check, and its figures: the same for each stretch of time that is as long."""
    said = Known(concurrency_limit=slots, synchronised=True)
    gathering = Gathering((known_bad.SERVICE,))
    limits = Limits(checks=dict(checks), known=said, min_requests=min_requests)
    gathering.take(known_bad.spans(limits, requests, slots))
    (bad,) = gathering.histories(said).values()
    bad = replace(bad, facts=replace(bad.facts, arm=KNOWN_BAD, control=True))
    return bad, replace(summarise(bad), control=True)


def title_of(group: Group) -> str:
    """Return what a service is called in reports."""
    service, place = group
    return f"{service} ({place})" if place else service


def _summary(history: ObservedHistory) -> ArmSummary:
    summary = summarise(history)
    told = list[str]()
    if "concurrency_limit" in history.facts.learnt:
        told.append(
            f"learnt: {len(history.facts.containers)} containers; the most that one worked on at once, "
            f"{history.facts.concurrency_limit}, is taken for its limit"
        )
    return replace(summary, join_warnings=tuple(told))


def _made(check: CheckResult) -> CheckResult:
    """Return what counts of a check of a stretch: where there was nothing to look at, it is not made.

    It makes no claim then, and no green.
    """
    if check.arm == OBSERVED and check.verdict is Outcome.UNKNOWN and check.cases == 0:
        return replace(check, verdict=Outcome.NOT_MADE, message=f"nothing to look at: {check.message}")
    return check


def _revised(check: CheckResult, doubts: tuple[Doubt, ...]) -> CheckResult:
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
    if doubt is None:
        return check
    return replace(check, verdict=Outcome.UNKNOWN, message=f"{doubt.said}. Seen was: {check.message}")
