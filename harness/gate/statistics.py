"""The statistics of the gate, as pure functions over pairs of blocks.

The unit of analysis is the block of some hundred requests, never the request: requests of one block share
queues, garbage collections and neighbours, and a test that takes them for independent cries wolf. A pair is
two blocks next to each other in time, base and head in random order, with the same arrivals and faults. Of
each pair one figure counts: z = ln(head / base).

On these figures stands Wilcoxon's signed-rank test, a permutation test that asks for a symmetric
distribution and no more, and the bound that follows from it by inversion (Hodges and Lehmann 1963; Hollander,
Wolfe and Chicken, Nonparametric Statistical Methods, section 3.2 and 3.7). After 8 pairs its least p is
1/256, no ground for a red build: there it is Student's test. And what is far beyond all limits in each pair,
and far beyond what the blocks of either side differ by among themselves, needs no test.

All of it works on arrays, the pairs along the last axis, so that the gate and the simulations that tell how
often it is right are the same code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtr

Figures = NDArray[np.float64]

LOOKS: Final = (3, 8, 16, 24)
"""Pairs after which the figures are looked at."""
ALPHA: Final = 0.01
"""Of a false FAIL over all looks and figures; each look may spend its share (Bonferroni)."""
MISSED: Final = 0.025
"""Of a PASS of what is bad, over all looks: half of it at the first that can tell, for most end there."""
CONFIDENCE: Final = 0.975
"""Of the lower bound of a ratio: while it lies above what is fine, nothing passes."""
TESTED_FROM: Final = 8
"""Fewer pairs can neither pass nor be tested: they fail where the difference is gross."""
RANKED_FROM: Final = 16
"""From so many pairs on the ranks alone reach the level; below, Student's test does."""
LEAST_SPREAD: Final = 0.005
"""Student's test takes no figure to be calmer: some are the same to the last digit, for a while."""
BEYOND_SPREAD: Final = 6.0
"""Fewer pairs than can be tested are beyond doubt only where each ratio is so many times what blocks of one
side differ by. On a restless machine three pairs in a row are gross by chance, in one of seventeen figures:
with 40 % of noise in 1 decision of 100, with 60 % in 7. Held against the noise that base's own blocks show,
and head's, in 1 of 400 and in 1 of 200; and with 200 % in 1 of 120."""


class LookOutcome(StrEnum):
    """What a look says."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    GO_ON = "go on"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What a figure may do.

    Attributes:
        fine: up to this ratio of head to base nobody minds: FAIL means more than this.
        bad: from this ratio on nobody should ship: PASS means less than this. Infinite for a figure that is
            too restless to be bounded: it passes unless it is proved to be above `fine`.
        gross: a ratio above this in each pair is beyond doubt, however few they are; see `BEYOND_SPREAD`.
    """

    fine: float
    bad: float
    gross: float

    def __post_init__(self) -> None:
        if not 0 < self.fine < min(self.bad, self.gross):
            raise ValueError(
                f"0 < fine < bad and gross is asked for, not {self.fine}, {self.bad} and {self.gross}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen after some pairs.

    Attributes:
        call: what follows.
        pairs: how many there were.
        ratio: head over base, the Hodges-Lehmann estimate.
        low: lower bound of that ratio, at `CONFIDENCE`; like `high` infinite while the pairs are too few.
        high: upper bound, at the confidence that a PASS takes at this look.
        p: one-sided, of the hypothesis that the ratio is at most `Tolerance.fine`.
    """

    call: LookOutcome
    pairs: int
    ratio: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure to be looked at.

    Attributes:
        z: ln(head / base) of each pair in order.
        tolerance: what it may do.
        middles: of the same pairs, the mean of ln(base) and ln(head): what blocks differ by, whichever side
            they are of. Without any they are taken to differ by as much as z lets one think.
    """

    z: Sequence[float]
    tolerance: Tolerance
    middles: Sequence[float] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of figures after the same pairs: arrays whose last axis is that of the figures.

    Attributes:
        failed: proved to be worse.
        passed: proved to be less than bad, and not above what is fine.
        low, middle, high: bounds and estimate of z.
        p: of the hypothesis that the ratio is fine.
    """

    failed: NDArray[np.bool_]
    passed: NDArray[np.bool_]
    low: Figures
    middle: Figures
    high: Figures
    p: Figures


def look(compared: Sequence[Compared], looks: Sequence[int] = LOOKS) -> list[Look]:
    """Look at several figures after the same pairs. More is worse in each.

    FAIL needs a p within this look's share of `ALPHA`, corrected for the number of figures by Holm's
    procedure: the chance of any false FAIL, over all figures and looks, stays below `ALPHA`. PASS needs
    the upper bound below what is bad and the lower one not above what is fine: what is proved to be
    worse, be it a little, goes on until it fails. At the last look what is neither is inconclusive.

    Args:
        compared: figures and tolerances.
        looks: pairs after which it is looked; the number of pairs is one of them.

    Returns:
        What was seen of each, in the order given.

    Raises:
        ValueError: it is not the time for a look, or a figure is not finite.
    """
    if not compared:
        return []
    pairs = len(compared[0].z)
    z = np.array([_finite(each.z) for each in compared])
    blocks = np.array(
        [block_spread(one, each.middles or None) for one, each in zip(z, compared, strict=True)]
    )
    seen = see(z, [each.tolerance for each in compared], looks, blocks)
    open_call = LookOutcome.INCONCLUSIVE if pairs == looks[-1] else LookOutcome.GO_ON
    return [
        Look(
            call=LookOutcome.FAIL if failed else LookOutcome.PASS if passed else open_call,
            pairs=pairs,
            ratio=math.exp(middle),
            low=math.exp(low),
            high=math.exp(high),
            p=float(p),
        )
        for failed, passed, low, middle, high, p in zip(
            seen.failed, seen.passed, seen.low, seen.middle, seen.high, seen.p, strict=True
        )
    ]


def see(
    z: Figures, tolerances: Sequence[Tolerance], looks: Sequence[int] = LOOKS, blocks: Figures | None = None
) -> Seen:
    """Look at figures, in as many decisions at once as the axes before the last two hold.

    Args:
        z: ln(head / base) by figure (last but one axis) and pair (last axis).
        tolerances: of the figures.
        looks: pairs after which it is looked; the number of pairs is one of them.
        blocks: `block_spread` of each figure; that of z alone when None.

    Raises:
        ValueError: it is not the time for a look.
    """
    pairs = z.shape[-1]
    if pairs not in looks:
        raise ValueError(f"{pairs} pairs: looks are after {', '.join(map(str, looks))}")
    fine, bad, gross = (
        np.log([getattr(each, name) for each in tolerances]) for name in ("fine", "bad", "gross")
    )
    test = student_p if TESTED_FROM <= pairs < RANKED_FROM else rank_p
    p = test(z, fine)
    low, middle, high = walsh_bounds(z, 1 - CONFIDENCE, may_miss(looks, pairs))
    least = z.min(axis=-1)
    beyond_doubt = least > gross
    if pairs < TESTED_FROM:
        beyond_doubt &= least > BEYOND_SPREAD * (block_spread(z) if blocks is None else blocks)
    return Seen(
        failed=holm_array(p, ALPHA / len(looks)) | beyond_doubt,
        passed=(pairs >= TESTED_FROM) & ((high < bad) | np.isinf(bad)) & (low <= fine),
        low=low,
        middle=middle,
        high=high,
        p=p,
    )


def block_spread(z: Figures, middles: Sequence[float] | Figures | None = None) -> Figures:
    """Return the standard deviation of ln(figure) among the blocks of a side, both sides taken together.

    It is 0 for a single pair, which shows none.

    Args:
        z: ln(head / base); pairs are along its last axis.
        middles: of the same pairs, the mean of ln(base) and ln(head). When None, as if base and head moved
            for reasons of their own.
    """
    if z.shape[-1] == 1:
        return np.zeros(z.shape[:-1])
    apart = z.var(axis=-1, ddof=1) / 4
    return np.asarray(np.sqrt(apart + (apart if middles is None else np.var(middles, axis=-1, ddof=1))))


def fails_at_times(failed: Figures, requests: Figures, bad: float) -> NDArray[np.bool_]:
    """Return whether head fails too much over all pairs, whatever it does in a typical one.

    Args:
        failed: requests that failed in all pairs, of base and of head along the last axis.
        requests: of which so many there were.
        bad: from this ratio of head's requests per success to base's on it is too much.
    """
    per_success = requests / np.maximum(requests - failed, 1)
    return np.asarray(per_success[..., 1] >= bad * per_success[..., 0])


def may_miss(looks: Sequence[int], pairs: int) -> float:
    """Return how often a look may let pass what is bad: its share of `MISSED`."""
    able = [each for each in looks if each >= TESTED_FROM]
    if pairs not in able or len(able) == 1:
        return MISSED
    return MISSED / 2 if pairs == able[0] else MISSED / 2 / (len(able) - 1)


def signed_rank_p(z: Sequence[float], at: float) -> float:
    """Return the exact one-sided p of Wilcoxon's signed-rank test that z lies above `at`.

    Zeros count half for each side and ties share their ranks; the p is then that of the next smaller
    whole statistic, so that it errs on the careful side.

    Args:
        z: the figures.
        at: the median under the hypothesis.

    Raises:
        ValueError: there is no figure, or one is not finite.
    """
    return float(rank_p(_finite(z), np.array(at)))


def rank_p(z: Figures, at: Figures) -> Figures:
    """Return `signed_rank_p` of each row: pairs are along the last axis of z, `at` has the axes before it."""
    moved = z - at[..., None]
    magnitude = np.abs(moved)
    below = (magnitude[..., None, :] < magnitude[..., :, None]).sum(axis=-1)
    same = (magnitude[..., None, :] == magnitude[..., :, None]).sum(axis=-1)
    ranks = below + (same + 1) / 2
    above = (ranks * (moved > 0)).sum(axis=-1) + (ranks * (moved == 0)).sum(axis=-1) / 2
    tails = np.cumsum(_null(z.shape[-1])[::-1])[::-1]
    return np.asarray(tails[np.floor(above + 1e-9).astype(int)])


def student_p(z: Figures, at: Figures) -> Figures:
    """Return the one-sided p of Student's test that the mean of each row of z lies above `at`."""
    pairs = z.shape[-1]
    spread = np.maximum(z.std(axis=-1, ddof=1), LEAST_SPREAD)
    return np.asarray(stdtr(pairs - 1, -(z.mean(axis=-1) - at) / (spread / math.sqrt(pairs))))


def bounds(z: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Return lower bound, estimate and upper bound of the median of z, each bound at `confidence`.

    The estimate is the median of all pairwise means (Walsh averages), the bounds are order statistics
    of them. Infinite where so few figures give no bound at this confidence.

    Raises:
        ValueError: there is no figure, or one is not finite.
    """
    low, middle, high = walsh_bounds(_finite(z), 1 - confidence, 1 - confidence)
    return float(low), float(middle), float(high)


def walsh_bounds(z: Figures, below: float, above: float) -> tuple[Figures, Figures, Figures]:
    """Return `bounds` of each row of z.

    Args:
        z: pairs are along its last axis.
        below: how often the truth may lie below the lower bound.
        above: how often it may lie above the upper one.
    """
    first, second = np.triu_indices(z.shape[-1])
    walsh = np.sort((z[..., first] + z[..., second]) / 2, axis=-1)
    tail = np.cumsum(_null(z.shape[-1]))
    lower, upper = (int(np.searchsorted(tail, each + 1e-12, side="right")) for each in (below, above))
    endless = np.full(z.shape[:-1], math.inf)
    return (
        walsh[..., lower - 1] if lower else -endless,
        np.asarray(np.median(walsh, axis=-1)),
        walsh[..., -upper] if upper else endless,
    )


def holm(p: Sequence[float], alpha: float) -> list[bool]:
    """Return which hypotheses Holm's step-down procedure rejects at `alpha`, in the order given.

    Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).
    """
    return [bool(each) for each in holm_array(np.asarray(p, dtype=np.float64), alpha)]


def holm_array(p: Figures, alpha: float) -> NDArray[np.bool_]:
    """Return `holm` of each row: the hypotheses are along the last axis."""
    order = np.argsort(p, axis=-1, kind="stable")
    steps = np.arange(p.shape[-1], 0, -1)
    holds = np.logical_and.accumulate(np.take_along_axis(p, order, axis=-1) <= alpha / steps, axis=-1)
    rejected = np.zeros_like(holds)
    np.put_along_axis(rejected, order, holds, axis=-1)
    return rejected


def rate_interval(found: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided interval of a rate of which `found` in `of` were seen.

    Clopper and Pearson, The use of confidence or fiducial limits, Biometrika 26 (1934).
    """
    outside = (1 - confidence) / 2
    low = float(betaincinv(found, of - found + 1, outside)) if found else 0.0
    high = float(betaincinv(found + 1, of - found, 1 - outside)) if found < of else 1.0
    return low, high


def _null(n: int) -> NDArray[np.float64]:
    """Return P(W = w) for w = 0 .. n(n+1)/2: each rank falls on either side with probability 1/2."""
    chances = np.ones(1)
    for rank in range(1, n + 1):
        chances = np.convolve(chances, np.concatenate(([0.5], np.zeros(rank - 1), [0.5])))
    return chances


def _finite(z: Sequence[float]) -> NDArray[np.float64]:
    figures = np.asarray(z, dtype=np.float64)
    if figures.size == 0 or not np.isfinite(figures).all():
        raise ValueError("a pair has no finite figure, or there is no pair")
    return figures
