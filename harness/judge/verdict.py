"""The verdict: every check of an experiment on its arms, three-valued, and turned round for controls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.errors import InputError
from harness.judge.case import Case, Finding, Invariant, examined
from harness.judge.causes import unexplained
from harness.judge.evidence import WHOSE_CALLS, joined, missing, share_joined
from harness.judge.installed import CHECKS
from harness.judge.levels import never_at_work
from harness.judge.likely import likely
from harness.records.history import ArmHistory
from harness.records.outcome import ArmSummary, CheckResult, ExperimentResult, Outcome
from harness.records.spec import CheckSpec, ExperimentSpec

CONTROL_FAILS = 0.1
"""Above this share of requests that fail without cause, a control arm has another fault than its own."""
NEAR = 0.2
"""A control arm that misses its limit by no more than this share of it has shown nothing, either way."""
PROVES_NOTHING = ". The check proves nothing here."
NARROW = ". That is so near its limit that it shows nothing, either way: run it again, or longer."
CONTROL_ANSWERS = 0.5
"""A control arm that is to be caught by its errors or refusals answers so large a share; else it has broken
down."""
SHARE = "1"
"""The unit of a share: of requests that fail, a check that looks for them may allow some."""
SHARED = 0.25
"""Above this share of the cores, what others do may be what makes a run slow."""


def known_checks() -> Collection[str]:
    """Return the ids that an experiment's checks may have, in order.

    To ask for one that another package adds loads it, and raises PluginError where that is broken.
    """
    return CHECKS


def judge(
    spec: ExperimentSpec,
    histories: Mapping[str, ArmHistory],
    summaries: Mapping[str, ArmSummary],
    registry: Mapping[str, Invariant] = CHECKS,
    revised: Callable[[CheckResult], CheckResult] = lambda result: result,
) -> ExperimentResult:
    """Judge one experiment.

    Args:
        spec: what was asked.
        histories: what happened, per arm.
        summaries: the figures of the same arms.
        registry: the invariants by the ids of checks.
        revised: gives what counts of a check, by what is known beside the histories.

    Raises:
        InputError: a check has an id that there is no invariant for, or lacks the arm to compare with.
    """
    for check in spec.checks:
        _validate(check, registry)
    seen = Seen(
        spec=spec,
        histories=histories,
        summaries=summaries,
        failed={arm: _failed(spec, arm, history, registry) for arm, history in histories.items()},
        registry=registry,
    )
    made = [
        (check, revised(_check(seen, check, arm)))
        for check in spec.checks
        for arm in (*check.holds_in, *check.caught_in)
    ]
    fell_short = {
        result.arm: result.id
        for check, result in made
        if result.arm in check.holds_in and result.verdict is Outcome.FAIL
    }
    checks = tuple(
        _doubted(result, fell_short.get(result.arm)) if result.arm in check.caught_in else result
        for check, result in made
    )
    return ExperimentResult(
        name=spec.name,
        title=spec.title,
        claim=spec.claim,
        verdict=claimed(spec, checks, registry),
        arms=dict(summaries),
        checks=checks,
        rate_scale=spec.rate_scale,
    )


def _doubted(caught: CheckResult, other: str | None) -> CheckResult:
    """Return what caught a control arm, unknown where a check that must hold there fell short as well."""
    if other is None or caught.verdict is not Outcome.PASS:
        return caught
    said = f"not taken for the fault of this control arm: {other}, which must hold in it, fell short"
    return replace(caught, verdict=Outcome.UNKNOWN, message=f"{said}. Seen was: {caught.message}")


def claimed(
    spec: ExperimentSpec, checks: Sequence[CheckResult], registry: Mapping[str, Invariant]
) -> Outcome:
    """Return the verdict on a claim: it is about the arms under test, and rests on a check of each that held.

    That control arms are caught shows that the checks work. It says nothing of the others. Nor is it enough
    that requests were answered, where more than that was asked of an arm.

    Args:
        spec: what was asked.
        checks: what came out.
        registry: the invariants by the ids of checks.
    """
    under_test = {arm for check in spec.checks for arm in check.holds_in if not spec.arms[arm].control}
    asked_more = {arm for check in spec.checks for arm in check.holds_in if not registry[check.id].of_errors}
    held = {
        check.arm
        for check in checks
        if check.verdict is Outcome.PASS and not (registry[check.id].of_errors and check.arm in asked_more)
    }
    verdict = worst_of(check.verdict for check in checks)
    if verdict is Outcome.PASS and (not under_test or under_test - held):
        return Outcome.UNKNOWN
    return verdict


def combine(experiments: Iterable[ExperimentResult]) -> Outcome:
    """Return the verdict on a run; one without an experiment is unknown."""
    return worst_of(experiment.verdict for experiment in experiments)


def worst_of(outcomes: Iterable[Outcome]) -> Outcome:
    """Return fail if there is one, else unknown if there is one or nothing at all, else pass.

    What was not made decides nothing: when nothing was, that is unknown.
    """
    found = set(outcomes) - {Outcome.NOT_MADE}
    if Outcome.FAIL in found:
        return Outcome.FAIL
    return Outcome.UNKNOWN if not found or Outcome.UNKNOWN in found else Outcome.PASS


def _validate(check: CheckSpec, registry: Mapping[str, Invariant]) -> None:
    if check.id not in registry:
        raise InputError(f"checks: there is no {check.id!r}. Known: {', '.join(sorted(registry))}.")
    if registry[check.id].compares and check.versus is None:
        raise InputError(f'checks: {check.id} compares two arms: add versus = "..." with the other one.')


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All that is judged of an experiment.

    Attributes:
        spec: what was asked.
        histories, summaries: what happened, and its figures, per arm.
        failed: per arm, why nothing can be said for it: more of its requests failed without cause than may.
        registry: the invariants.
    """

    spec: ExperimentSpec
    histories: Mapping[str, ArmHistory]
    summaries: Mapping[str, ArmSummary]
    failed: Mapping[str, str | None]
    registry: Mapping[str, Invariant] = field(default_factory=lambda: CHECKS)


def _check(seen: Seen, check: CheckSpec, arm: str) -> CheckResult:
    invariant = seen.registry[check.id]
    limit = invariant.limit if check.limit is None else check.limit
    looked_at = [arm] if check.versus is None else [arm, check.versus]
    obstacle = next((said for each in looked_at if (said := _obstacle(seen, invariant, each))), None)
    lacking = None if obstacle else _lacking(seen, invariant, arm)
    if obstacle or lacking:
        finding = Finding(holds=None, observed=None, message=obstacle or lacking or "")
    else:
        finding = _examined(seen, check, arm, limit)
    if finding.limit is not None:
        limit = finding.limit
    inverted = arm in check.caught_in
    verdict = Outcome.NOT_MADE if lacking else _outcome(finding, inverted=inverted)
    message = _message_of(invariant, finding, inverted=inverted)
    if inverted and verdict is Outcome.FAIL and _narrow(finding, limit):
        verdict, message = Outcome.UNKNOWN, f"{message.removesuffix(PROVES_NOTHING)}{NARROW}"
    if verdict is Outcome.FAIL and seen.spec.arms[arm].agent == "yours":
        message += likely(invariant.id, seen.histories[arm])
    of_time = invariant.timing or invariant.instants or finding.late
    if verdict in {Outcome.FAIL, Outcome.PASS} and of_time:
        doubtful = _could_be_the_machines_doing(verdict, arm, check.versus, inverted=inverted)
        doubt = next(
            (text for each in doubtful if (text := _machine_in_doubt(each, seen.summaries[each]))), None
        )
        if doubt is not None:
            verdict, message = Outcome.UNKNOWN, f"{doubt}. Seen was: {message}"
    doubt = _doubt_of_errors(seen, check, arm, verdict)
    if doubt is None and verdict is Outcome.PASS and seen.spec.arms[arm].agent == "yours":
        doubt = never_at_work(seen.histories[arm])
    if doubt is not None:
        verdict, message = Outcome.UNKNOWN, f"{doubt}. Seen was: {finding.message}"
    return CheckResult(
        id=check.id,
        arm=arm,
        control=seen.spec.arms[arm].control,
        verdict=verdict,
        observed=finding.observed,
        limit=limit,
        unit=invariant.unit,
        message=message,
        traces=finding.traces,
        cases=finding.cases if not (obstacle or lacking) else None,
        cases_needed=invariant.cases_needed,
        case=invariant.case,
    )


def _examined(seen: Seen, check: CheckSpec, arm: str, limit: float) -> Finding:
    history, invariant = seen.histories[arm], seen.registry[check.id]
    doubtful = len(history.joins.ambiguous) if invariant.of_calls else 0
    of_known_ones = WHOSE_CALLS in invariant.needs
    case = Case(
        history=history.told_apart() if of_known_ones else history,
        summary=seen.summaries[arm],
        versus=seen.summaries[check.versus] if check.versus is not None else None,
        limit=limit,
    )
    finding = examined(invariant, case, control=arm in check.caught_in)
    if not doubtful or (of_known_ones and finding.holds is False):
        return finding
    said = (
        f"{doubtful} model calls can't be told apart: several requests said the same, maybe, or one call was "
        "tried again with another body; "
        f"to tell them apart, {WHOSE_CALLS.add}, and send the same body again"
    )
    return replace(finding, holds=None, message=f"{said}. Seen was: {finding.message}")


def _lacking(seen: Seen, invariant: Invariant, arm: str) -> str | None:
    """Return what a user's agent does not emit that a check looks at, and what to add; None for nothing."""
    if seen.spec.arms[arm].agent != "yours":
        return None
    lacks = missing(invariant.needs, seen.histories[arm])
    return None if lacks is None else lacks.lacking(seen.histories[arm])


def _obstacle(seen: Seen, invariant: Invariant, arm: str) -> str | None:
    """Return why a check can't be made on an arm, None when it can."""
    if arm not in seen.histories:
        return f"no data: {arm} did not run to its end; see its logs, and run it again"
    history, least = seen.histories[arm], seen.spec.min_requests
    if (contradicted := _contradicted(seen, invariant, arm)) is not None:
        return f"not judged: in {arm} {contradicted}"
    # What fails tells as much as what succeeds; a quantile is of successes alone.
    counted = [request for request in history.requests if request.row.ok or not invariant.timing]
    if len(counted) < least:
        what = "successes" if invariant.timing else "requests"
        return f"too few samples: {arm} has {len(counted)} {what}, min_requests asks for {least}"
    if invariant.timing and seen.summaries[arm].warnings:
        return f"not judged: in {arm} {seen.summaries[arm].warnings[0]}"
    return None


def _contradicted(seen: Seen, invariant: Invariant, arm: str) -> str | None:
    """Return what a check rests on and is lost, or said in two ways at once; None for nothing.

    A user's own agent need not tell whose its model calls are: a check of that is not made then.
    """
    history = seen.histories[arm]
    if (said := history.gaps or history.impossible) is not None:
        return said
    if invariant.of_spans and history.spans_lost is not None:
        return history.spans_lost
    if invariant.clocks and history.clocks_told is not None:
        return history.clocks_told
    if WHOSE_CALLS in invariant.needs and seen.spec.arms[arm].agent != "yours" and not joined(history):
        return f"of the model calls {share_joined(history)}"
    return None


def _failed(
    spec: ExperimentSpec, arm: str, history: ArmHistory, registry: Mapping[str, Invariant]
) -> str | None:
    """Say that more requests of an arm failed without cause than may; None when that is not so."""
    control = spec.arms[arm].control
    failed = unexplained(history)
    allowed = CONTROL_FAILS if control else _allowed(spec, arm, registry)
    if len(failed) <= allowed * len(history.requests):
        return None
    first = failed[0].row
    return (
        f"in {arm} {len(failed)} of {len(history.requests)} requests failed, and nothing that was done to "
        f"them explains it (the first: {first.status or 'no answer'}, {first.error}){_logged(history, arm)}"
    )


def _logged(history: ArmHistory, arm: str) -> str:
    """Return where a user's agent that sends no spans says more, and the end of that."""
    if any(request.server for request in history.requests) or not history.facts.log_ends:
        return ""
    name, lines = next(iter(history.facts.log_ends.items()))
    said = " / ".join(lines) or "(it printed nothing)"
    return f"; logs/{history.facts.experiment}/{arm}/{name}.log ends: {said}"


def _allowed(spec: ExperimentSpec, arm: str, registry: Mapping[str, Invariant]) -> float:
    """Return the share of an arm's requests that may fail without cause: what its check of that allows."""
    limits = [
        registry[check.id].limit if check.limit is None else check.limit
        for check in spec.checks
        if registry[check.id].of_errors and registry[check.id].unit == SHARE and arm in check.holds_in
    ]
    return max(limits, default=0.0)


def _doubt_of_errors(seen: Seen, check: CheckSpec, arm: str, verdict: Outcome) -> str | None:
    """Return why a verdict on an arm can't stand, None when it can.

    What fails for no reason that is known may hold, or be caught, for that very reason.
    """
    if verdict not in {Outcome.PASS, Outcome.FAIL}:
        return None
    if check.versus is not None and (said := seen.failed[check.versus]) is not None:
        return f"not compared: {said}"
    said = seen.failed[arm]
    if arm not in check.caught_in:
        return f"not taken for held: {said}" if said is not None and verdict is Outcome.PASS else None
    invariant = seen.registry[check.id]
    if invariant.of_errors:
        said = None
    if said is None and (invariant.of_errors or invariant.of_refusals):
        said = _broken_down(seen.histories[arm], invariant)
    return None if said is None else f"not taken for the fault of this control arm: {said}"


def _broken_down(history: ArmHistory, invariant: Invariant) -> str | None:
    """Say that a control arm answered hardly anybody, None when it did."""
    answered = sum(request.row.ok or request.row.left for request in history.requests)
    if answered >= max(invariant.cases_needed, CONTROL_ANSWERS * len(history.requests)):
        return None
    return f"{answered} of its {len(history.requests)} requests were answered"


def _could_be_the_machines_doing(
    verdict: Outcome, arm: str, versus: str | None, *, inverted: bool
) -> tuple[str, ...]:
    """Return the arms which, slowed by something else on the machine, could have made a verdict.

    An arm that holds on a machine that is late or shared holds all the more elsewhere, unless it is better
    only than another one that was slowed. What falls short may be the machine's doing, in a control as well.
    """
    compared = () if versus is None else (versus,)
    return (arm, *compared) if inverted or verdict is Outcome.FAIL else compared


def _machine_in_doubt(arm: str, summary: ArmSummary) -> str | None:
    """Return why times of an arm can't be relied on, None when they can."""
    if summary.warnings:
        return f"not counted: in {arm} {summary.warnings[0]}"
    if (said := neighbours(arm, summary)) is None:
        return None
    return f"not counted: {said}; leave the machine to the run"


def neighbours(arm: str, summary: ArmSummary) -> str | None:
    """Say that others used much of the machine while an arm ran; None when they didn't, or nobody knows."""
    share = summary.others_share
    if share is None or share <= SHARED:
        return None
    return f"while {arm} ran, others kept {share:.0%} of the cores busy (limit {SHARED:.0%})"


def _outcome(finding: Finding, *, inverted: bool) -> Outcome:
    if finding.holds is None:
        return Outcome.UNKNOWN
    return Outcome.PASS if finding.holds != inverted else Outcome.FAIL


def _narrow(finding: Finding, limit: float) -> bool:
    """Return whether a figure is so near its limit that the next run may find it on the other side.

    A whole number is none that comes near by chance: one build of a client is what is right.
    """
    observed = finding.observed
    if observed is None or float(observed).is_integer():
        return False
    return abs(observed - limit) <= NEAR * abs(limit)


def _message_of(invariant: Invariant, finding: Finding, *, inverted: bool) -> str:
    if finding.holds is None:
        return finding.message
    if not inverted:
        text = finding.message.removesuffix(".")
        return finding.message if finding.holds else f"{text}. {invariant.remedy}"
    if finding.holds:
        return f"the fault of this control arm was not found: {finding.message}{PROVES_NOTHING}"
    return f"caught, as it must be: {finding.message}"
