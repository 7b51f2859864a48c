"""A decision of the gate as the result of an experiment with two arms: so all forms of the report are one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.analysis.series import series
from harness.analysis.summary import summarise
from harness.gate.blocks import P99, Side
from harness.gate.decide import Comparison, GateDecision, GateVerdict, Guard
from harness.gate.parts import PARTS, part_s
from harness.gate.statistics import LookOutcome
from harness.records.history import ArmHistory
from harness.records.outcome import ArmSeries, CheckResult, ExperimentResult, Outcome

CALLS = {LookOutcome.PASS: Outcome.PASS, LookOutcome.FAIL: Outcome.FAIL}
TRACES = 10
"""Of head's requests above base's p99, the slowest first."""


def outcome(verdict: GateVerdict) -> Outcome:
    """Return the verdict in the words of a run: what is inconclusive is unknown."""
    return {GateVerdict.PASS: Outcome.PASS, GateVerdict.FAIL: Outcome.FAIL}.get(verdict, Outcome.UNKNOWN)


def scenario_result(
    name: str, decision: GateDecision, histories: Mapping[Side, ArmHistory], *, labels: Mapping[Side, str]
) -> tuple[ExperimentResult, dict[tuple[str, str], ArmSeries]]:
    """Return the result of one scenario, and what its report draws.

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
    checks = (
        *(
            _check(each, _evidence(each, histories[Side.HEAD], above), grown)
            for each in decision.findings
            if each.scenario == name
        ),
        *(_guard(each) for each in decision.guards if each.scenario == name),
    )
    result = ExperimentResult(
        name=name,
        title=f"head against base, {decision.pairs} pairs",
        claim=f"Head is not slower than base: {versions}.",
        verdict=_worst(checks),
        arms={Side.BASE: base, Side.HEAD: head},
        checks=checks,
    )
    drawn = {(name, str(side)): series(history, above) for side, history in histories.items()}
    return result, drawn


def _evidence(found: Comparison, head: ArmHistory, above: Sequence[str]) -> tuple[str, ...]:
    """Return the traces that show a figure: those above base's p99, or those in which a part took longest."""
    name = found.measure.name
    if found.measure is P99:
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
    return f"; above p99, {part} took {more_s[part] * 1e3:.3g} ms more than in base"


def _check(found: Comparison, evidence: tuple[str, ...], grown: str) -> CheckResult:
    look = found.look
    unit = "" if found.measure.unit == "1" else f" {found.measure.unit}"
    word = {LookOutcome.PASS: "not worse", LookOutcome.FAIL: "worse"}.get(look.call, "inconclusive")
    return CheckResult(
        id=found.measure.name.replace(" ", "-"),
        arm=Side.HEAD,
        control=False,
        verdict=CALLS.get(look.call, Outcome.UNKNOWN),
        observed=look.ratio,
        limit=found.measure.tolerance.fine,
        unit="1",
        message=(
            f"{word}: {found.head:.4g}{unit} against {found.base:.4g}, ratio {look.ratio:.3f} "
            f"({look.low:.3f} to {look.high:.3f}) over {look.pairs} pairs, p = {look.p:.2g}"
            + (f": {found.counts}" if found.counts else "")
            + (grown if found.measure is P99 and look.call is not LookOutcome.PASS else "")
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
