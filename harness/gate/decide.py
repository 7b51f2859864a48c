"""From blocks to a verdict: what is in the way of one first, then the looks."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import numpy as np

from harness.gate.blocks import (
    ATTEMPTS,
    CALLS,
    ERRORS,
    LEAST_SUCCESSES,
    P50,
    P99,
    TOKENS,
    Block,
    Measure,
    Side,
)
from harness.gate.figures import figure, ratio
from harness.gate.statistics import LOOKS, Compared, Look, LookOutcome, Tolerance, fails_at_times, look
from harness.gate.tolerances import id_of, with_tolerances
from harness.gate.work import ANSWERED, ASKED, Change, changes, so_little_of
from harness.machine import SATURATED, late_limit_ms

MOST_ERRORS: Final = 0.05
"""Above this share of errors in base, there is nothing to compare head with."""
COUNTED: Final = (ERRORS.name, ATTEMPTS.name, CALLS.name, TOKENS.name)
"""Figures that are no times: a full machine doesn't change them."""
ALWAYS_THERE: Final = (P99.name, P50.name, ERRORS.name)
"""Figures that each block has of which enough requests were answered."""
BLURRED_SHARE: Final = 0.25
"""Above this share of blocks of a side in which the machine was full or the load late, nothing is green."""


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
        base, head: in a typical pair of blocks: its middle is the median of all pairs, and the two lie around
            it by the ratio that was found, so that these three figures are one.
        look: the last one.
        noise: standard deviation of ln(head / base) from pair to pair; not finite for a single pair.
        failed: of errors: how many requests of how many failed, by side.
    """

    scenario: str
    measure: Measure
    base: float
    head: float
    look: Look
    noise: float = math.nan
    failed: Mapping[Side, tuple[int, int]] | None = None

    @property
    def of_errors(self) -> bool:
        """Whether it tells of requests that failed."""
        return self.failed is not None

    @property
    def counts(self) -> str:
        """Say how many requests failed; empty of any other figure."""
        if self.failed is None:
            return ""
        (base, asked), (head, asked_head) = self.failed[Side.BASE], self.failed[Side.HEAD]
        return (
            f"head failed {head} of {asked_head} requests ({head / asked_head:.1%}), base {base} of {asked} "
            f"({base / asked:.1%})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Why a scenario can't be green.

    Attributes:
        scenario: which.
        said: a sentence, with what to do.
        stays: more pairs will not mend it.
        heads: base runs freely, so it is head's doing: head can still fail. Else its times say nothing.
        of_times: only its times say nothing: what is counted is the same however slow the machine is.
    """

    scenario: str
    said: str
    stays: bool
    heads: bool
    of_times: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDecision:
    """The verdict on the blocks so far.

    Attributes:
        verdict: of all.
        reasons: a sentence each, the gravest first; what to do is in them.
        findings: the figures that could be compared.
        pairs: how many there were.
        guards: what keeps it from being green.
        changes: what head does less of than base, or more, beside what the findings say.
    """

    verdict: GateVerdict
    reasons: tuple[str, ...]
    findings: tuple[Comparison, ...]
    pairs: int
    guards: tuple[Guard, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def undecided(self) -> list[Comparison]:
        """The figures that are not known to be the same."""
        return [each for each in self.findings if each.look.call is not LookOutcome.PASS]


def decide(
    blocks: Sequence[Block],
    looks: Sequence[int] = LOOKS,
    tolerances: Mapping[str, Tolerance] = MappingProxyType({}),
) -> GateDecision:
    """Decide on complete pairs of every scenario; it is time for a look.

    A guard keeps a scenario from being green. Where base is what can't be measured, only the errors of its
    head are still compared; where that is because the machine was full, all that is counted is. Where base
    runs freely and head alone is in trouble, under the same arrivals, that is head's doing: its figures are
    compared, and may fail.

    Args:
        blocks: of all scenarios, in any order; each pair has both sides.
        looks: pairs after which it is looked.
        tolerances: by the id of their figure, in place of the usual ones.

    Raises:
        ValueError: there is no block, or it is not the time for a look.
    """
    if not blocks:
        raise ValueError("there is no block to decide on")
    pairs = max(block.pair for block in blocks)
    scenarios = {name: _Sides.of(name, blocks) for name in sorted({block.scenario for block in blocks})}
    measures = with_tolerances(tolerances)
    guards = tuple(guard for sides in scenarios.values() for guard in _guards(sides, measures))
    seen_of = {name: _comparable([g for g in guards if g.scenario == name]) for name in scenarios}
    findings = _looked_at(
        [
            (sides, measure)
            for name, sides in scenarios.items()
            for measure in measures
            if sides.complete(measure) and ((seen := seen_of[name]) is None or measure.name in seen)
        ],
        looks,
    )
    work = with_tolerances(tolerances, (*ASKED, *ANSWERED))
    changed = tuple(
        change
        for name, sides in scenarios.items()
        if (seen := seen_of[name]) is None or CALLS.name in seen
        for change in changes(name, sides.base, sides.head, work)
    )
    guards += tuple(_failing_at_times(findings))
    guards += tuple(map(_another_answer, [change for change in changed if change.too_little]))
    verdict = _verdict({finding.look.call for finding in findings}, guards, last=pairs >= looks[-1])
    return GateDecision(
        verdict=verdict,
        reasons=(
            *_reasons(findings, guards, verdict),
            *(f"{each.scenario}: {each.said}" for each in changed),
        ),
        findings=findings,
        pairs=pairs,
        guards=guards,
        changes=changed,
    )


def _comparable(guards: Sequence[Guard]) -> Collection[str] | None:
    """Return the figures of a scenario that can be compared; None for all."""
    blind = [guard for guard in guards if not guard.heads]
    if not blind:
        return None
    return COUNTED if all(guard.of_times for guard in blind) else (ERRORS.name,)


def blurred(block: Block) -> bool:
    """Return whether the block's times are blurred: the load was sent late, or the machine was full."""
    late_ms = late_limit_ms(block.figures.get(P99.name))
    # what is no number is not known to be within a limit
    return not (block.lateness_p99_ms <= late_ms and block.cpu_utilisation <= SATURATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """The blocks of a scenario in the order of their pairs."""

    scenario: str
    base: list[Block]
    head: list[Block]

    @classmethod
    def of(cls, scenario: str, blocks: Sequence[Block]) -> _Sides:
        base, head = (
            sorted(
                (block for block in blocks if block.scenario == scenario and block.side is side),
                key=lambda block: block.pair,
            )
            for side in Side
        )
        return cls(scenario=scenario, base=base, head=head)

    @property
    def each(self) -> tuple[tuple[Side, list[Block]], ...]:
        return ((Side.BASE, self.base), (Side.HEAD, self.head))

    def complete(self, measure: Measure) -> bool:
        """Whether each block has a figure."""
        return all(measure.of(block) is not None for block in (*self.base, *self.head))


def _guards(sides: _Sides, measures: Sequence[Measure]) -> Iterator[Guard]:
    """Yield what keeps a scenario from being green."""

    def guard(said: str, *, stays: bool, heads: bool) -> Guard:
        return Guard(scenario=sides.scenario, said=said, stays=stays, heads=heads)

    errors, requests = _errors(sides.base)
    if not requests or errors / requests > MOST_ERRORS:
        yield guard(
            f"base failed {errors} of {requests} requests: there is nothing to compare with. "
            "Choose a base that works.",
            stays=True,
            heads=False,
        )
    compared = list(measures)
    for side, blocks in sides.each:
        few = min(blocks, key=lambda block: block.successes)
        if few.successes < LEAST_SUCCESSES:
            compared = [each for each in compared if each.name != P99.name]  # said already
            yield guard(
                f"too few samples: a block of {side} has {few.successes} successes, a p99 needs "
                f"{LEAST_SUCCESSES}. Ask for larger blocks with --block.",
                stays=True,
                heads=side is Side.HEAD,
            )
        if lost := sum(block.lost for block in blocks):
            yield guard(
                f"{lost} requests to {side} were planned and never ended. See the load's log.",
                stays=True,
                heads=side is Side.HEAD,
            )
    for measure in compared:
        lacking = {side: sum(measure.of(block) is None for block in blocks) for side, blocks in sides.each}
        nowhere = sum(lacking.values()) == len(sides.base) + len(sides.head)
        if nowhere and measure.name in ALWAYS_THERE:
            yield guard(f"no block has a {measure.name}: nothing is green without.", stays=True, heads=True)
        elif any(lacking.values()) and not nowhere:
            told = " and ".join(f"{many} of {side}" for side, many in lacking.items() if many)
            yield guard(
                f"{measure.name} could not be compared: {told} of {len(sides.base)} blocks each have none.",
                stays=True,
                heads=True,
            )
    yield from _blurred_guard(sides)


def _blurred_guard(sides: _Sides) -> Iterator[Guard]:
    """Yield a guard where the machine was full, or the load late, in too many blocks of a side."""
    base, head = (sum(map(blurred, blocks)) for _, blocks in sides.each)
    pairs = len(sides.base)
    if base > BLURRED_SHARE * pairs:
        yield Guard(
            scenario=sides.scenario,
            said=(
                f"the harness was in the way in {base} of {pairs} blocks of base and {head} of head: the "
                f"load sent late, or over {SATURATED:.0%} of the cores were in use. Lower --rate, or leave "
                "it alone."
            ),
            stays=False,
            heads=False,
            of_times=True,
        )
    elif head > BLURRED_SHARE * pairs:
        used = sorted(block.cpu_utilisation for block in sides.head)[pairs // 2]
        yield Guard(
            scenario=sides.scenario,
            said=(
                f"head filled the machine, or made the load late, in {head} of {pairs} blocks (it had "
                f"{used:.0%} of the cores in the median); base, under the same arrivals, in {base}. "
                "What follows is head's doing."
            ),
            stays=False,
            heads=True,
        )


def _failing_at_times(findings: Sequence[Comparison]) -> Iterator[Guard]:
    """Yield a guard where head does not fail more in a typical pair, and too much over all pairs.

    A version that starts badly one time in ten fails all requests of a few blocks, and none of the others. It
    may be a hiccup of the machine, too, and that more pairs tell.
    """
    for found in findings:
        if found.failed is None or found.look.call is not LookOutcome.PASS:
            continue
        failed, asked = zip(*(found.failed[side] for side in Side), strict=True)
        if fails_at_times(np.array(failed), np.array(asked), found.measure.tolerance.bad):
            yield Guard(
                scenario=found.scenario,
                said=f"{found.counts}, in few blocks: too many to be green. See the logs of head's agents.",
                stays=False,
                heads=True,
            )


def _another_answer(change: Change) -> Guard:
    """Return the guard of answers that are far shorter, or fewer: what these take says nothing of base's."""
    said, word = so_little_of(change.measure)
    return Guard(
        scenario=change.scenario,
        said=(
            f"{change.figures}: {said}; where they are meant to be so {word}, add "
            f"--tolerance {id_of(change.measure)}={math.ceil(1.1 / change.ratio)}."
        ),
        stays=True,
        heads=True,
    )


def _errors(blocks: Sequence[Block]) -> tuple[int, int]:
    return sum(block.errors for block in blocks), sum(block.requests for block in blocks)


def _failed(blocks: Sequence[Block]) -> tuple[int, int]:
    return sum(block.failed for block in blocks), sum(block.requests for block in blocks)


def _verdict(calls: set[LookOutcome], guards: Sequence[Guard], *, last: bool) -> GateVerdict:
    """Return the whole: FAIL before all, and green only where nothing is in the way.

    What is in the way is waited out while it may pass, and while a figure may still turn out to be worse.
    """
    if LookOutcome.FAIL in calls:
        return GateVerdict.FAIL
    if guards:
        waits = LookOutcome.GO_ON in calls or not all(guard.stays for guard in guards)
        return GateVerdict.GO_ON if waits and not last else GateVerdict.UNKNOWN
    if not calls:  # nothing was compared
        return GateVerdict.UNKNOWN
    if LookOutcome.GO_ON in calls:
        return GateVerdict.GO_ON
    return GateVerdict.INCONCLUSIVE if LookOutcome.INCONCLUSIVE in calls else GateVerdict.PASS


def _looked_at(figures: Sequence[tuple[_Sides, Measure]], looks: Sequence[int]) -> tuple[Comparison, ...]:
    values = [
        tuple([block.figures[measure.name] for block in blocks] for _, blocks in sides.each)
        for sides, measure in figures
    ]
    logs = [
        np.log(np.array(of_both) + measure.floor)
        for of_both, (_, measure) in zip(values, figures, strict=True)
    ]
    seen = look(
        [
            Compared(
                z=list(after - before),
                tolerance=measure.tolerance,
                middles=list((before + after) / 2),
            )
            for (before, after), (_, measure) in zip(logs, figures, strict=True)
        ],
        looks,
    )
    return tuple(
        _comparison(sides, measure, before, after, each)
        for (sides, measure), (before, after), each in zip(figures, values, seen, strict=True)
    )


def _comparison(
    sides: _Sides, measure: Measure, before: Sequence[float], after: Sequence[float], seen: Look
) -> Comparison:
    """Tell of a figure by its typical pair, see `Comparison`."""
    logs = np.log(np.array([before, after]) + measure.floor)
    middle, apart = math.exp(np.median(logs.mean(axis=0))), math.sqrt(seen.ratio)
    return Comparison(
        scenario=sides.scenario,
        measure=measure,
        base=max(0.0, middle / apart - measure.floor),
        head=max(0.0, middle * apart - measure.floor),
        look=seen,
        noise=float(np.std(logs[1] - logs[0], ddof=1)) if seen.pairs > 1 else math.nan,
        failed={side: _failed(blocks) for side, blocks in sides.each}
        if measure.name == ERRORS.name
        else None,
    )


def _reasons(
    findings: Sequence[Comparison], guards: Sequence[Guard], verdict: GateVerdict
) -> tuple[str, ...]:
    told = {GateVerdict.FAIL: LookOutcome.FAIL, GateVerdict.INCONCLUSIVE: LookOutcome.INCONCLUSIVE}.get(
        verdict
    )
    # Of what fails, errors come first: they are the gravest, and explain the rest.
    named = sorted((each for each in findings if each.look.call is told), key=lambda e: not e.of_errors)
    return (
        *(f"{each.scenario}: {_reason(each)}" for each in named),
        *(f"{guard.scenario}: {guard.said}" for guard in guards),
    )


def _reason(found: Comparison) -> str:
    seen = found.look
    if found.of_errors:
        if seen.call is LookOutcome.FAIL:
            return f"{found.counts}. See the logs of head's agents."
        return f"{found.counts}: it may or may not fail more; run it longer"
    between = f" (between {ratio(seen.low, 2)} and {ratio(seen.high, 2)})" if math.isfinite(seen.high) else ""
    said = f"{found.measure.name} is {ratio(seen.ratio, 2)} times base's{between}"
    if found.measure.floor:
        unit = found.measure.unit
        said = (
            f"{found.measure.name} is {figure(found.head, 3)} {unit} against base's {figure(found.base, 3)}, "
            f"{ratio(seen.ratio, 2)} times{between} with {found.measure.floor:g} {unit} added to both"
        )
    if seen.call is LookOutcome.FAIL:
        return said if between else f"{said}, and far above in each of {seen.pairs} pairs"
    return f"{said}: it may or may not be slower; run it longer, or on a quieter machine"
