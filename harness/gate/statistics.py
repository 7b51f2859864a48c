"""The statistics of the gate, as pure functions over pairs of blocks.

A look is an interim analysis of a group-sequential test: after some pairs, and again after more.

The unit of analysis is the block of some hundred requests, never the request: requests of one block share
queues, garbage collections and neighbours, and a test that takes them for independent raises false alarms.
A pair is two blocks next to each other in time, base and head in random order, with the same arrivals and
faults. Of each pair one figure counts: z = ln(head / base).

On these figures stands Wilcoxon's signed-rank test, which asks for a symmetric distribution and no more, and
the bound that follows from it by inversion (Hodges and Lehmann 1963; Hollander, Wolfe and Chicken,
Nonparametric Statistical Methods, section 3.2 and 3.7): no normal distribution, no variance to be estimated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

LOOKS = (8, 16, 24)
"""Pairs after which there is a look."""
ALPHA = 0.01
"""Of a false FAIL over all looks; each look may spend its share (Bonferroni), the first one none."""
CONFIDENCE = 0.975
"""Of the bound that a PASS rests on."""


class LookOutcome(StrEnum):
    """What follows from a look."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    GO_ON = "go on"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What a figure may do.

    Attributes:
        fine: up to this ratio of head to base nobody minds: FAIL means more than this.
        bad: from this ratio on nobody should ship: PASS means less than this.
    """

    fine: float
    bad: float

    def __post_init__(self) -> None:
        if not 0 < self.fine < self.bad:
            raise ValueError(f"0 < fine < bad must hold, not {self.fine} and {self.bad}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The result of one look at one figure.

    Attributes:
        call: what follows.
        pairs: how many there were.
        ratio: head over base, the Hodges-Lehmann estimate.
        low, high: bounds of that ratio, each at `CONFIDENCE`; infinite while the pairs are too few.
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
    """One figure to be tested: z = ln(head / base) of each pair in order, and what it may be."""

    z: Sequence[float]
    tolerance: Tolerance


def look(compared: Sequence[Compared], looks: Sequence[int] = LOOKS) -> list[Look]:
    """Test several figures after the same pairs. More is worse in each.

    FAIL needs a p within this look's share of `ALPHA`, corrected for the number of figures by Holm's
    procedure: the chance of any false FAIL, over all figures and looks, stays below `ALPHA`. PASS needs
    the upper bound below what is bad. At the last look what is neither is inconclusive.

    Args:
        compared: figures and tolerances.
        looks: pairs after which there is a look; the number of pairs is one of them.

    Returns:
        What was seen of each, in the order given.

    Raises:
        ValueError: it is not the time for a look, or a figure is not finite.
    """
    p = [signed_rank_p(each.z, math.log(each.tolerance.fine)) for each in compared]
    failed = holm(p, ALPHA / len(looks))
    return [
        _look(each, p_each, looks, failed=failed_each)
        for each, p_each, failed_each in zip(compared, p, failed, strict=True)
    ]


def _look(compared: Compared, p: float, looks: Sequence[int], *, failed: bool) -> Look:
    pairs = len(compared.z)
    if pairs not in looks:
        raise ValueError(f"{pairs} pairs: looks are after {', '.join(map(str, looks))}")
    low, middle, high = bounds(compared.z, CONFIDENCE)
    # The first look may only pass: with so few pairs no test can reach a level worth a red build.
    if failed and pairs > looks[0]:
        call = LookOutcome.FAIL
    elif high < math.log(compared.tolerance.bad):
        call = LookOutcome.PASS
    else:
        call = LookOutcome.INCONCLUSIVE if pairs == looks[-1] else LookOutcome.GO_ON
    return Look(call=call, pairs=pairs, ratio=math.exp(middle), low=math.exp(low), high=math.exp(high), p=p)


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
    moved = _finite(z) - at
    magnitude = np.abs(moved)
    below = (magnitude[None, :] < magnitude[:, None]).sum(axis=1)
    same = (magnitude[None, :] == magnitude[:, None]).sum(axis=1)
    ranks = below + (same + 1) / 2
    statistic = math.floor(ranks[moved > 0].sum() + ranks[moved == 0].sum() / 2 + 1e-9)
    return float(_null(len(moved))[statistic:].sum())


def bounds(z: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Return lower bound, estimate and upper bound of the median of z, each bound at `confidence`.

    The estimate is the median of all pairwise means (Walsh averages), the bounds are order statistics
    of them. Infinite where so few figures give no bound at this confidence.

    Raises:
        ValueError: there is no figure, or one is not finite.
    """
    figures = _finite(z)
    first, second = np.triu_indices(len(figures))
    walsh = np.sort((figures[first] + figures[second]) / 2)
    tail = np.cumsum(_null(len(figures)))
    outside = int(np.searchsorted(tail, 1 - confidence + 1e-12, side="right"))
    middle = float(np.median(walsh))
    if outside == 0:
        return -math.inf, middle, math.inf
    return float(walsh[outside - 1]), middle, float(walsh[-outside])


def holm(p: Sequence[float], alpha: float) -> list[bool]:
    """Return which hypotheses Holm's step-down procedure rejects at `alpha`, in the order given.

    Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).
    """
    rejected = [False] * len(p)
    for step, which in enumerate(sorted(range(len(p)), key=lambda number: p[number])):
        if p[which] > alpha / (len(p) - step):
            break
        rejected[which] = True
    return rejected


def rate_interval(found: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided interval of a rate of which `found` in `of` were seen.

    Clopper and Pearson, The use of confidence or fiducial limits, Biometrika 26 (1934).
    """
    outside = (1 - confidence) / 2
    low = float(beta.ppf(outside, found, of - found + 1)) if found else 0.0
    high = float(beta.ppf(1 - outside, found + 1, of - found)) if found < of else 1.0
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
