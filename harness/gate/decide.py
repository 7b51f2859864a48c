"""From blocks to a verdict: guards first, then the looks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scipy.stats import fisher_exact

from harness.gate.blocks import LEAST_SUCCESSES, MEASURES, P99, Block, Measure, Side
from harness.gate.statistics import LOOKS, Compared, Look, LookOutcome, look
from harness.machine import SATURATED, late_limit_ms

MOST_ERRORS: Final = 0.05
"""Above this share of errors in base, there is nothing to compare head with."""
MORE_ERRORS, ERRORS_P = 0.01, 0.001
"""Head fails more than base when its share of errors is higher by this, and chance would seldom do it."""
BLURRED_SHARE: Final = 0.25
"""Above this share of pairs in which the harness itself was in the way, nothing is judged."""


class GateVerdict(StrEnum):
    """What the gate says; `go on` is none yet. Only `pass` is green."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    UNKNOWN = "unknown"
    GO_ON = "go on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was found of one figure of one scenario.

    Attributes:
        scenario, measure: which.
        base, head: medians over the blocks.
        look: the last one.
    """

    scenario: str
    measure: Measure
    base: float
    head: float
    look: Look


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDecision:
    """The verdict on the blocks so far.

    Attributes:
        verdict: of all.
        reasons: a sentence each, the gravest first; what to do is in them.
        findings: the figures that could be compared.
        pairs: how many there were.
    """

    verdict: GateVerdict
    reasons: tuple[str, ...]
    findings: tuple[Comparison, ...]
    pairs: int


def decide(blocks: Sequence[Block], looks: Sequence[int] = LOOKS) -> GateDecision:
    """Decide on complete pairs of every scenario; it is time for a look.

    A scenario whose head fails more requests than its base has failed, whatever its latencies are. One
    that can't be judged is `unknown`, and so is the whole then, unless another one failed.

    Args:
        blocks: of all scenarios, in any order; each pair has both sides.
        looks: pairs after which there is a look.

    Raises:
        ValueError: there is no block, or it is not the time for a look.
    """
    if not blocks:
        raise ValueError("there is no block to decide on")
    scenarios = sorted({block.scenario for block in blocks})
    pairs = max(block.pair for block in blocks)
    failing = [reason for name in scenarios if (reason := _fails_more(name, _of(blocks, name)))]
    obstacles = [reason for name in scenarios if (reason := _obstacle(name, _of(blocks, name)))]
    if failing:
        return GateDecision(
            verdict=GateVerdict.FAIL, reasons=(*failing, *obstacles), findings=(), pairs=pairs
        )
    if obstacles:
        verdict = GateVerdict.UNKNOWN if pairs >= looks[-1] or _is_futile(blocks) else GateVerdict.GO_ON
        return GateDecision(verdict=verdict, reasons=tuple(obstacles), findings=(), pairs=pairs)
    findings = _compare_measures(blocks, scenarios, looks)
    calls = {finding.look.call for finding in findings}
    verdict = next(
        verdict
        for call, verdict in (
            (LookOutcome.FAIL, GateVerdict.FAIL),
            (LookOutcome.GO_ON, GateVerdict.GO_ON),
            (LookOutcome.INCONCLUSIVE, GateVerdict.INCONCLUSIVE),
            (LookOutcome.PASS, GateVerdict.PASS),
        )
        if call in calls
    )
    return GateDecision(verdict=verdict, reasons=_reasons(findings, verdict), findings=findings, pairs=pairs)


def _of(blocks: Sequence[Block], scenario: str) -> list[Block]:
    return [block for block in blocks if block.scenario == scenario]


def _side(blocks: Sequence[Block], side: Side) -> list[Block]:
    return sorted((block for block in blocks if block.side is side), key=lambda block: block.pair)


def _fails_more(scenario: str, blocks: Sequence[Block]) -> str | None:
    base, head = (_errors(_side(blocks, side)) for side in (Side.BASE, Side.HEAD))
    if not base[1] or not head[1] or head[0] / head[1] - base[0] / base[1] <= MORE_ERRORS:
        return None
    table = [[head[0], head[1] - head[0]], [base[0], base[1] - base[0]]]
    if fisher_exact(table, alternative="greater").pvalue > ERRORS_P:
        return None
    return (
        f"{scenario}: head failed {head[0]} of {head[1]} requests ({head[0] / head[1]:.1%}), base "
        f"{base[0]} of {base[1]} ({base[0] / base[1]:.1%}). See the logs of head's agents."
    )


def _errors(blocks: Sequence[Block]) -> tuple[int, int]:
    return sum(block.errors for block in blocks), sum(block.requests for block in blocks)


def _obstacle(scenario: str, blocks: Sequence[Block]) -> str | None:
    """Return why a scenario can't be judged, None when it can."""
    errors, requests = _errors(_side(blocks, Side.BASE))
    if not requests or errors / requests > MOST_ERRORS:
        return (
            f"{scenario}: base failed {errors} of {requests} requests: there is nothing to compare with. "
            "Choose a base that works."
        )
    few = min(blocks, key=lambda block: block.successes)
    if few.successes < LEAST_SUCCESSES:
        return (
            f"{scenario}: too few samples: a block of {few.side} has {few.successes} successes, a p99 needs "
            f"{LEAST_SUCCESSES}. Ask for larger blocks with --block."
        )
    in_the_way = {block.pair for block in blocks if blurred(block)}
    pairs = {block.pair for block in blocks}
    if len(in_the_way) > BLURRED_SHARE * len(pairs):
        return (
            f"{scenario}: the harness was in the way in {len(in_the_way)} of {len(pairs)} pairs: the load "
            f"sent late, or over {SATURATED:.0%} of the cores were in use. Lower --rate, or leave it alone."
        )
    return None


def blurred(block: Block) -> bool:
    """Return whether the harness itself was in the way: it sent late, or the machine was full."""
    late_ms = late_limit_ms(block.figures.get(P99.name))
    return block.lateness_p99_ms > late_ms or block.cpu_utilisation > SATURATED


def _is_futile(blocks: Sequence[Block]) -> bool:
    """Whether more pairs will not help: blocks of a fixed size stay too small, a broken base broken."""
    errors, requests = _errors(_side(blocks, Side.BASE))
    return (
        not requests
        or errors / requests > MOST_ERRORS
        or any(block.successes < LEAST_SUCCESSES for block in blocks)
    )


def _compare_measures(
    blocks: Sequence[Block], scenarios: Sequence[str], looks: Sequence[int]
) -> tuple[Comparison, ...]:
    found: list[tuple[str, Measure, list[float], list[float]]] = []
    for scenario in scenarios:
        base, head = (_side(_of(blocks, scenario), side) for side in (Side.BASE, Side.HEAD))
        for measure in MEASURES:
            before = [block.figures.get(measure.name, 0.0) for block in base]
            after = [block.figures.get(measure.name, 0.0) for block in head]
            if min(before) > 0 and min(after) > 0:
                found.append((scenario, measure, before, after))
    results = look(
        [
            Compared(
                z=[math.log(h / b) for b, h in zip(before, after, strict=True)], tolerance=measure.tolerance
            )
            for _, measure, before, after in found
        ],
        looks,
    )
    return tuple(
        Comparison(scenario=scenario, measure=measure, base=_middle(before), head=_middle(after), look=each)
        for (scenario, measure, before, after), each in zip(found, results, strict=True)
    )


def _middle(figures: Sequence[float]) -> float:
    return sorted(figures)[len(figures) // 2]


def _reasons(findings: Sequence[Comparison], verdict: GateVerdict) -> tuple[str, ...]:
    wanted = {GateVerdict.FAIL: LookOutcome.FAIL, GateVerdict.INCONCLUSIVE: LookOutcome.INCONCLUSIVE}.get(
        verdict
    )
    return tuple(
        f"{each.scenario}: {each.measure.name} is {each.look.ratio:.2f} times base's (between "
        f"{each.look.low:.2f} and {each.look.high:.2f})"
        + (
            ""
            if wanted is LookOutcome.FAIL
            else ": it may or may not be slower; run it longer, or on a quieter machine"
        )
        for each in findings
        if each.look.call is wanted
    )
