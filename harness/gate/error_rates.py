"""How often the gate is wrong where pairs are as noisy as these: many decisions, simulated with its own code.

Before a run it is a table (`docs/gate-simulated.md`); after one it is told of the machine that it ran on, and
of the tolerances that were asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.gate.statistics import LOOKS, Tolerance, block_spread, fails_at_times, see

DECISIONS: Final = 1000
"""That are simulated: a rate of 1 % is known to about 0.6 %."""
FOUND: Final = 1.3
"""The slow-down of which it is told how often it is found."""
LEAST_TOLD: Final = 1 / DECISIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What came out of many decisions.

    Attributes:
        failed, passed: shares of all.
        unsound: share in which it passed with a lower bound above what is fine.
        pairs: the mean until it was decided.
    """

    failed: float
    passed: float
    unsound: float
    pairs: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """How many requests failed in each block.

    Attributes:
        counts: by decision, side (base, head) and pair.
        requests: of a block.
        bad: from this ratio of head's requests per success to base's on, over all pairs, nothing is green.
    """

    counts: NDArray[np.int64]
    requests: int
    bad: float

    def in_the_way(self, still: NDArray[np.bool_], after: int) -> NDArray[np.bool_]:
        """Return whether head failed too much, in those decisions that are still to be made."""
        counts = self.counts[still][..., :after].sum(axis=-1)
        return fails_at_times(counts, np.full(counts.shape, after * self.requests), self.bad)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure as it moved from pair to pair.

    Attributes:
        tolerance: what it may do.
        noise: standard deviation of ln(head / base) from pair to pair.
    """

    tolerance: Tolerance
    noise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRates:
    """How often the gate would be wrong here.

    Attributes:
        false_alarms: share of FAIL where nothing differs; `greens` of PASS.
        greens: see there.
        missed: share of PASS where the first figure is as bad as nobody should ship; None where that is not
            bounded.
        found: share of FAIL where the first figure is `FOUND` times base's.
    """

    false_alarms: float
    greens: float
    missed: float | None
    found: float


def rates(
    z: NDArray[np.float64],
    tolerances: Sequence[Tolerance],
    looks: Sequence[int] = LOOKS,
    failed_requests: Failed | None = None,
    middles: NDArray[np.float64] | None = None,
) -> Rates:
    """Let the gate decide on each: the first look at which any figure fails, or all pass, ends it.

    Args:
        z: ln(head / base) by decision, figure and pair.
        tolerances: of the figures.
        looks: pairs after which it is looked.
        failed_requests: of the same decisions; too many of head's are in the way of a pass.
        middles: the mean of ln(base) and ln(head), by decision, figure and pair like z.
    """
    fine = np.log([each.fine for each in tolerances])
    still = np.ones(len(z), dtype=bool)
    failed, passed, unsound, pairs = 0, 0, 0, 0
    for after in looks:
        going = z[still][..., :after]
        blocks = None if middles is None else block_spread(going, middles[still][..., :after])
        seen = see(going, tolerances, looks, blocks)
        fails = seen.failed.any(axis=-1)
        passes = seen.passed.all(axis=-1) & ~fails
        if failed_requests is not None:
            passes &= ~failed_requests.in_the_way(still, after)
        failed += int(fails.sum())
        passed += int(passes.sum())
        unsound += int((passes & (seen.low > fine).any(axis=-1)).sum())
        ended = fails | passes | (after == looks[-1])
        pairs += after * int(ended.sum())
        still[np.flatnonzero(still)[ended]] = False
        if not still.any():
            break
    of = len(z)
    return Rates(failed=failed / of, passed=passed / of, unsound=unsound / of, pairs=pairs / of)


def error_rates(
    figures: Sequence[Figure], looks: Sequence[int] = LOOKS, decisions: int = DECISIONS
) -> ErrorRates:
    """Simulate decisions on figures that move as these did. The same figures always give the same rates.

    Args:
        figures: what is compared; the first is the one that head is made slower in.
        looks: pairs after which it is looked.
        decisions: of each kind.

    Raises:
        ValueError: there is no figure.
    """
    if not figures:
        raise ValueError("there is no figure whose noise is known")
    tolerances = [each.tolerance for each in figures]
    noise = np.array([each.noise for each in figures])[:, None]
    base, head = (
        np.random.default_rng(1).standard_normal((2, decisions, len(figures), looks[-1]))
        * noise
        / math.sqrt(2)
    )

    def at(ratio: float) -> Rates:
        moved = head - base
        moved[:, 0] += math.log(ratio)
        return rates(moved, tolerances, looks, middles=(base + head) / 2)

    same, bad = at(1.0), figures[0].tolerance.bad
    return ErrorRates(
        false_alarms=same.failed,
        greens=same.passed,
        missed=at(bad).passed if math.isfinite(bad) else None,
        found=at(FOUND).failed,
    )
