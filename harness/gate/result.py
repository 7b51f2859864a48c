"""A decision of the gate as the result of an experiment with two arms: so all forms of the report are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.analysis.series import series
from harness.analysis.summary import summarise
from harness.analysis.tail import split
from harness.gate.blocks import P50, P99, Side
from harness.gate.decide import Comparison, GateDecision, GateVerdict, Guard
from harness.gate.figures import figure, ratio
from harness.gate.parts import PARTS, part_s
from harness.gate.statistics import LookOutcome
from harness.gate.tolerances import id_of
from harness.records.history import ArmHistory, JoinedRequest
from harness.records.outcome import ArmSeries, ArmSummary, CheckResult, ExperimentResult, Outcome

CALLS = {LookOutcome.PASS: Outcome.PASS, LookOutcome.FAIL: Outcome.FAIL}
TRACES = 10
"""Of head's requests above base's p99, the slowest first."""
MOST_PARTS, LEAST_PART_S = 4, 0.0005
"""Of a request: so many are told, and none that is shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceTold:
    """A request that shows where the time goes.

    Attributes:
        side: it went to.
        kind: `slow` or `typical`.
        trace: its id.
        latency_ms: from when it was due.
        parts: the longest, in ms by name, the longest first; empty without spans.
    """

    side: Side
    kind: str
    trace: str
    latency_ms: float
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioTold:
    """What was found of one scenario, for every form of the report.

    Attributes:
        result: for those that all runs have.
        drawn: what the page draws.
        grown: which part of the slowest requests took longer in head than in base; empty when none did.
        traces: a slow one of head, and a typical one of base beside it; as many as there are.
    """

    result: ExperimentResult
    drawn: Mapping[tuple[str, str], ArmSeries]
    grown: str
    traces: tuple[TraceTold, ...]


def outcome(verdict: GateVerdict) -> Outcome:
    """Return the verdict in the words of a run: what is inconclusive is unknown."""
    return {GateVerdict.PASS: Outcome.PASS, GateVerdict.FAIL: Outcome.FAIL}.get(verdict, Outcome.UNKNOWN)


def scenario_result(
    name: str, decision: GateDecision, histories: Mapping[Side, ArmHistory], *, labels: Mapping[Side, str]
) -> ScenarioTold:
    """Return what was found of one scenario.

    Args:
        name: the scenario's.
        decision: on all scenarios.
        histories: of base and head.
        labels: their versions.
    """
    base, head = (summarise(histories[side]) for side in Side)
    above = [
        request.row.trace_id
        for request in sorted(histories[Side.HEAD].requests, key=lambda request: -request.row.latency_s)
        if base.p99_ms is not None and request.row.ok and request.row.latency_s * 1e3 > base.p99_ms
    ][:TRACES]
    versions = ", ".join(f"{side} is {labels[side]}" for side in Side)
    grown = _grown(base.tail, head.tail)
    found = [each for each in decision.findings if each.scenario == name]
    compared = {each.measure.name for each in found}
    checks = (
        *(_check(each, _evidence(each, histories[Side.HEAD], above), grown) for each in found),
        *(_guard(each) for each in decision.guards if each.scenario == name),
    )
    does = tuple(change.said for change in decision.changes if change.scenario == name)
    head = replace(head, warnings=(*head.warnings, *does))
    result = ExperimentResult(
        name=name,
        title=f"head against base, {decision.pairs} pairs",
        claim=f"Head is not slower than base: {versions}.",
        verdict=_worst(checks),
        arms={Side.BASE: _typical(base, Side.BASE, found), Side.HEAD: _typical(head, Side.HEAD, found)},
        checks=checks,
    )
    drawn = {
        (name, str(side)): replace(series(history, above), of_typical_block=P99.name in compared)
        for side, history in histories.items()
    }
    return ScenarioTold(result=result, drawn=drawn, grown=grown, traces=_traces(histories, checks))


def _typical(arm: ArmSummary, side: Side, found: Sequence[Comparison]) -> ArmSummary:
    """Return an arm whose p50 and p99 are those that were compared: all blocks together have others."""
    of = {each.measure.name: each.head if side is Side.HEAD else each.base for each in found}
    return replace(arm, p50_ms=of.get(P50.name, arm.p50_ms), p99_ms=of.get(P99.name, arm.p99_ms))


def _traces(histories: Mapping[Side, ArmHistory], checks: Sequence[CheckResult]) -> tuple[TraceTold, ...]:
    """Return the slow trace of head that shows most, and a typical one of base beside it.

    The slow one is evidence of the first figure that failed, the slowest of all where that has none.
    """
    head = {each.row.trace_id: each for each in _good(histories[Side.HEAD])}
    base = _good(histories[Side.BASE])
    named = [trace for each in checks if each.verdict is Outcome.FAIL for trace in each.traces]
    slow = next((head[trace] for trace in named if trace in head), None) or (
        max(head.values(), key=lambda request: request.row.latency_s) if head else None
    )
    return (
        *((_told(Side.HEAD, "slow", slow),) if slow else ()),
        *((_told(Side.BASE, "typical", base[len(base) // 2]),) if base else ()),
    )


def _good(history: ArmHistory) -> list[JoinedRequest]:
    """Return the successes, the fastest first; of those that spans tell of, where there are any."""
    good = sorted((each for each in history.requests if each.row.ok), key=lambda each: each.row.latency_s)
    return [each for each in good if each.server is not None] or good


def _told(side: Side, kind: str, request: JoinedRequest) -> TraceTold:
    parts = split(request) if request.server is not None else {}
    longest = sorted(parts.items(), key=lambda item: -item[1])[:MOST_PARTS]
    return TraceTold(
        side=side,
        kind=kind,
        trace=request.row.trace_id,
        latency_ms=request.row.latency_s * 1e3,
        parts={name: seconds * 1e3 for name, seconds in longest if seconds >= LEAST_PART_S},
    )


def _evidence(found: Comparison, head: ArmHistory, above: Sequence[str]) -> tuple[str, ...]:
    """Return the traces that show a figure: those above base's p99, or those in which a part took longest."""
    name = found.measure.name
    if name == P99.name:
        return tuple(above)
    if name not in PARTS or found.look.call is not LookOutcome.FAIL:
        return ()
    slowest = sorted(
        (request for request in head.requests if request.row.ok and request.server is not None),
        key=lambda request: -part_s(request, name),
    )
    return tuple(request.row.trace_id for request in slowest[:TRACES])


def _grown(base: Mapping[str, float], head: Mapping[str, float]) -> str:
    """Say which part of the slowest requests took longer in head than in base; empty when none did."""
    more_s = {part: seconds - base.get(part, 0.0) for part, seconds in head.items()}
    part = max(more_s, key=lambda part: more_s[part], default="")
    if not part or more_s[part] <= 0:
        return ""
    return f"above p99, {part} took {figure(more_s[part] * 1e3, 3)} ms more than in base"


def _check(found: Comparison, evidence: tuple[str, ...], grown: str) -> CheckResult:
    look = found.look
    unit = "" if found.measure.unit == "1" else f" {found.measure.unit}"
    worse = look.call is not LookOutcome.PASS
    word = {LookOutcome.PASS: "not worse", LookOutcome.FAIL: "worse"}.get(look.call, "inconclusive")
    return CheckResult(
        id=id_of(found.measure),
        arm=Side.HEAD,
        control=False,
        verdict=CALLS.get(look.call, Outcome.UNKNOWN),
        observed=look.ratio,
        limit=found.measure.tolerance.fine,
        unit="1",
        message=(
            f"{word}: {figure(found.head)}{unit} against {figure(found.base)}, ratio {ratio(look.ratio)} "
            f"({ratio(look.low)} to {ratio(look.high)}) over {look.pairs} pairs, p = {look.p:.2g}"
            + (f": {found.counts}" if found.counts else "")
            + (f"; {grown}" if grown and found.measure.name == P99.name and worse else "")
        ),
        traces=evidence,
    )


def _guard(guard: Guard) -> CheckResult:
    return CheckResult(
        id="guard",
        arm=Side.HEAD if guard.heads else Side.BASE,
        control=False,
        verdict=Outcome.UNKNOWN,
        observed=None,
        limit=None,
        unit="1",
        message=guard.said,
    )


def _worst(checks: Sequence[CheckResult]) -> Outcome:
    found = {check.verdict for check in checks}
    if Outcome.FAIL in found:
        return Outcome.FAIL
    return Outcome.PASS if found == {Outcome.PASS} else Outcome.UNKNOWN
