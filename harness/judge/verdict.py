"""The verdict: every check of an experiment on its arms, three-valued, and turned round for controls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.errors import InputError
from harness.judge.case import Case, Finding, Invariant
from harness.judge.evidence import missing
from harness.judge.invariants import REGISTRY
from harness.records.history import ArmHistory
from harness.records.outcome import ArmSummary, CheckResult, ExperimentResult, Outcome
from harness.records.spec import CheckSpec, ExperimentSpec

SHARED = 0.25
"""Above this share of the cores, what others do may be what makes a run slow."""


def known_checks() -> tuple[str, ...]:
    """Return the ids that an experiment's checks may have."""
    return tuple(sorted(REGISTRY))


def judge(
    spec: ExperimentSpec, histories: Mapping[str, ArmHistory], summaries: Mapping[str, ArmSummary]
) -> ExperimentResult:
    """Judge one experiment.

    Args:
        spec: what was asked.
        histories: what happened, per arm.
        summaries: the figures of the same arms.

    Raises:
        InputError: a check has an id that there is no invariant for, or lacks the arm to compare with.
    """
    for check in spec.checks:
        _validate(check)
    checks = tuple(
        _check(spec, check, arm, histories, summaries)
        for check in spec.checks
        for arm in (*check.holds_in, *check.caught_in)
    )
    return ExperimentResult(
        name=spec.name,
        title=spec.title,
        claim=spec.claim,
        verdict=worst_of(check.verdict for check in checks),
        arms=dict(summaries),
        checks=checks,
        rate_scale=spec.rate_scale,
    )


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


def _validate(check: CheckSpec) -> None:
    if check.id not in REGISTRY:
        raise InputError(f"checks: there is no {check.id!r}. Known: {', '.join(known_checks())}.")
    if REGISTRY[check.id].compares and check.versus is None:
        raise InputError(f'checks: {check.id} compares two arms: add versus = "..." with the other one.')


def _check(
    spec: ExperimentSpec,
    check: CheckSpec,
    arm: str,
    histories: Mapping[str, ArmHistory],
    summaries: Mapping[str, ArmSummary],
) -> CheckResult:
    invariant = REGISTRY[check.id]
    limit = invariant.limit if check.limit is None else check.limit
    inverted = arm in check.caught_in
    looked_at = [arm] if check.versus is None else [arm, check.versus]
    obstacles = (_obstacle(spec, invariant, each, histories, summaries) for each in looked_at)
    obstacle = next((each for each in obstacles if each), None)
    lacking = None
    if obstacle is None and spec.arms[arm].agent == "yours":
        lacking = missing(invariant.needs, histories[arm])
    if lacking is not None:
        finding = Finding(holds=None, observed=None, message=f"{lacking.what}; {lacking.add}")
    elif obstacle is not None:
        finding = Finding(holds=None, observed=None, message=obstacle)
    else:
        versus = summaries[check.versus] if check.versus is not None else None
        case = Case(history=histories[arm], summary=summaries[arm], versus=versus, limit=limit)
        finding = invariant.examine(case)
    verdict = Outcome.NOT_MADE if lacking else _outcome(finding, inverted=inverted)
    message = _message_of(invariant, finding, inverted=inverted)
    if verdict in {Outcome.FAIL, Outcome.PASS} and (invariant.timing or invariant.instants):
        doubtful = _could_be_the_machines_doing(verdict, arm, check.versus, inverted=inverted)
        doubt = next((text for each in doubtful if (text := _machine_in_doubt(each, summaries[each]))), None)
        if doubt is not None:
            verdict, message = Outcome.UNKNOWN, f"{doubt}. Seen was: {message}"
    return CheckResult(
        id=check.id,
        arm=arm,
        control=spec.arms[arm].control,
        verdict=verdict,
        observed=finding.observed,
        limit=limit,
        unit=invariant.unit,
        message=message,
        traces=finding.traces,
    )


def _obstacle(
    spec: ExperimentSpec,
    invariant: Invariant,
    arm: str,
    histories: Mapping[str, ArmHistory],
    summaries: Mapping[str, ArmSummary],
) -> str | None:
    """Return why a check can't be made on an arm, None when it can."""
    if arm not in histories:
        return f"no data: {arm} did not run to its end; see its logs, and run it again"
    # What fails tells as much as what succeeds; a quantile is of successes alone.
    counted = [request for request in histories[arm].requests if request.row.ok or not invariant.timing]
    if len(counted) < spec.min_requests:
        what = "successes" if invariant.timing else "requests"
        return f"too few samples: {arm} has {len(counted)} {what}, min_requests asks for {spec.min_requests}"
    if invariant.timing and summaries[arm].warnings:
        return f"not judged: in {arm} {summaries[arm].warnings[0]}"
    return None


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
    share = summary.others_share
    if share is None or share <= SHARED:
        return None
    return (
        f"not counted: while {arm} ran, others kept {share:.0%} of the cores busy (limit "
        f"{SHARED:.0%}); leave the machine to the run"
    )


def _outcome(finding: Finding, *, inverted: bool) -> Outcome:
    if finding.holds is None:
        return Outcome.UNKNOWN
    return Outcome.PASS if finding.holds != inverted else Outcome.FAIL


def _message_of(invariant: Invariant, finding: Finding, *, inverted: bool) -> str:
    if finding.holds is None:
        return finding.message
    if not inverted:
        text = finding.message.removesuffix(".")
        return finding.message if finding.holds else f"{text}. {invariant.remedy}"
    if finding.holds:
        return (
            f"the fault of this control arm was not found: {finding.message}. The check proves nothing here."
        )
    return f"caught, as it must be: {finding.message}"
