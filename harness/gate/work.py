"""How much a side does for a request: a head that does less is fast for that alone, and that has to be told.

Both sides get the same words and the same answers of the model. So what they do for a request is as good as
the same in each pair, and where it is not that is the version's doing. How many are answered at the limit is
partly chance: that has to be another in every pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.gate.blocks import (
    ANSWER,
    ANSWERS_AT_LIMIT,
    CALLS,
    SHORT_ANSWER,
    TOKENS,
    TOOL_CALLS,
    Block,
    Measure,
)
from harness.gate.statistics import CONFIDENCE, bounds

ASKED: Final = (CALLS, TOKENS, TOOL_CALLS)
"""What is done for an answer."""
ANSWERED: Final = (ANSWER, SHORT_ANSWER, ANSWERS_AT_LIMIT)
"""The answers themselves. One that is far shorter is another answer, or none; where far fewer come at the
limit, most are turned away."""
JUDGED: Final = (CALLS, TOKENS)
"""Of these, what more of is a finding of its own."""
CHANGED: Final = 1.05
"""Up to this ratio, either way, it is the same work."""


def so_little_of(measure: Measure) -> tuple[str, str]:
    """Return what it means that head has so little of one of `ANSWERED`, with what to do, and in a word."""
    if measure.name == ANSWERS_AT_LIMIT.name:
        return "most of what comes at once is turned away. See why", "few"
    return "these are other answers, or parts of them. Read some", "short"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One figure of the work that is another in head.

    Attributes:
        scenario, measure: which.
        base, head: in a typical pair.
        ratio: of head to base.
        certain: whether it is proved, or lies so in each pair.
    """

    scenario: str
    measure: Measure
    base: float
    head: float
    ratio: float
    certain: bool

    @property
    def too_little(self) -> bool:
        """Whether head's answers are so much shorter that they can't be the same ones, or so many fewer."""
        return self.measure.name in {each.name for each in ANSWERED} and (
            self.ratio < 1 / self.measure.tolerance.fine
        )

    @property
    def figures(self) -> str:
        """Name it, with its figures."""
        unit = "" if self.measure.unit == "1" else f" {self.measure.unit}"
        head, base = round(self.head, 6), round(self.base, 6)
        return f"{self.measure.name} {head:.3g} against base's {base:.3g}{unit}"

    @property
    def said(self) -> str:
        """Tell of it in a sentence."""
        return f"head does {'less' if self.less else 'more'}: {self.figures}"

    @property
    def less(self) -> bool:
        """Whether head does less of it than base."""
        return self.ratio < 1


def changes(
    scenario: str, base: Sequence[Block], head: Sequence[Block], measures: Sequence[Measure]
) -> Iterator[Change]:
    """Yield what head does less of than base, or more.

    Args:
        scenario: that it is.
        base: its blocks in the order of their pairs; `head` has the others of these.
        head: see there.
        measures: with the tolerances that were asked for.
    """
    for measure in measures:
        before, after = ([measure.of(block) for block in blocks] for blocks in (base, head))
        if None in before or None in after:
            continue
        logs = [
            (math.log(was), math.log(now))
            for was, now in zip(before, after, strict=True)
            if was is not None and now is not None
        ]
        z = [now - was for was, now in logs]
        low, ratio, high = bounds(z, CONFIDENCE)
        middle = sorted((was + now) / 2 for was, now in logs)[len(logs) // 2]
        far = math.log(CHANGED)
        bounded = math.isfinite(high) and measure.name != ANSWERS_AT_LIMIT.name
        less = (high if bounded else max(z)) < -far
        more = (low if bounded else min(z)) > far
        change = Change(
            scenario=scenario,
            measure=measure,
            base=max(0.0, math.exp(middle - ratio / 2) - measure.floor),
            head=max(0.0, math.exp(middle + ratio / 2) - measure.floor),
            ratio=math.exp(ratio),
            certain=less or more,
        )
        judged = not change.less and measure.name in {each.name for each in JUDGED}
        if change.too_little or (change.certain and not judged):
            yield change
