"""A family for each part of a request, its distance from what was seen; as it was seen where none fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import ndtr

from harness.plan.records import Floats
from harness.records.workload import Duration
from harness.simulator_config import MOST_SPREAD

Family = Literal["none", "constant", "lognormal", "empirical"]
CONSTANT: Final = 1.03
"""What is as long at its p99 as at its p1, but for so many times, is constant."""
ALPHA: Final = 1.63
"""Of Kolmogorov's distribution: with fitted parameters, data of the family pass in more than 99 of 100."""
TAIL: Final = 0.10
"""A family must also meet the p99 that was seen, within this share: it is what a plan rests on."""
LEAST: Final = 20
"""With fewer, no family can be told from another."""
QUANTILES: Final = 201
SHOWN: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How long a part takes.

    Attributes:
        part: which.
        count: so often it was seen.
        family: that was chosen.
        duration: it, with its parameters.
        distance: the largest difference between its distribution and that of the data (Kolmogorov, Smirnov).
        tried: that of the lognormal, where it was not chosen.
        seen: quantiles of the data, at even steps.
    """

    part: str
    count: int
    family: Family
    duration: Duration
    distance: float
    tried: float | None
    seen: tuple[float, ...]


def fit(part: str, values: Sequence[float]) -> Fit:
    """Fit a part.

    Args:
        part: its name.
        values: durations in seconds; none when it never happened.
    """
    data = np.sort(np.array(values, float))
    if not len(data) or data[-1] <= 0:
        return Fit(
            part=part, count=len(data), family="none", duration=Duration(), distance=0.0, tried=None, seen=()
        )
    seen = tuple(float(each) for each in np.quantile(data, np.linspace(0, 1, SHOWN + 1)))
    low, high = float(np.quantile(data, 0.01)), float(np.quantile(data, 0.99))
    usual = float(np.median(data))
    if high <= CONSTANT * low and abs(float(data.mean()) - usual) <= (CONSTANT - 1) * usual:
        constant = Duration(median_s=float(np.median(data)))
        return Fit(
            part=part,
            count=len(data),
            family="constant",
            duration=constant,
            distance=0.0,
            tried=None,
            seen=seen,
        )
    distance: float | None = None
    lognormal = _lognormal(data) if data[0] > 0 and len(data) >= LEAST else None
    if lognormal is not None:
        distance = ks(data, lognormal)
        tail = abs(lognormal.at(0.99) / high - 1)
        if distance <= ALPHA / math.sqrt(len(data)) and tail <= max(TAIL, _noise(lognormal, len(data))):
            return Fit(
                part=part,
                count=len(data),
                family="lognormal",
                duration=lognormal,
                distance=distance,
                tried=None,
                seen=seen,
            )
    steps = min(QUANTILES, max(2, len(data)))
    quantiles = tuple(float(f"{each:.6g}") for each in np.quantile(data, np.linspace(0, 1, steps)))
    # between the last two the mean is that of the data, which a heavy tail's most is far from
    beyond = data[math.ceil(len(data) * (1 - 1 / (steps - 1))) :]
    if len(beyond):
        last = min(quantiles[-1], max(quantiles[-2], 2 * float(beyond.mean()) - quantiles[-2]))
        quantiles = (*quantiles[:-1], float(f"{last:.6g}"))
    empirical = Duration(median_s=float(np.median(data)), quantiles_s=tuple(sorted(quantiles)))
    return Fit(
        part=part,
        count=len(data),
        family="empirical",
        duration=empirical,
        distance=ks(data, empirical),
        tried=distance,
        seen=seen,
    )


def _lognormal(data: Floats) -> Duration | None:
    """Return the lognormal of some data; None where they are spread wider than any that a workload has."""
    logs = np.log(data)
    median_s, sigma = math.exp(float(logs.mean())), float(logs.std())
    if sigma * 2.3263478740408408 > math.log(MOST_SPREAD / 2):
        return None
    return Duration(median_s=median_s, p99_s=median_s * math.exp(max(sigma, 1e-4) * 2.3263478740408408))


def _noise(duration: Duration, count: int) -> float:
    """Return how far the p99 of so many values is off by chance, as a share: two standard errors."""
    density = math.exp(-(2.3263478740408408**2) / 2) / math.sqrt(2 * math.pi)
    return 2 * duration.sigma * math.sqrt(0.99 * 0.01 / count) / density


def ks(data: Floats, duration: Duration) -> float:
    """Return the largest difference between a distribution and that of some data, which are in order."""
    if duration.quantiles_s:
        below = np.interp(data, duration.quantiles_s, np.linspace(0, 1, len(duration.quantiles_s)))
    elif duration.p99_s is not None:
        below = ndtr(np.log(data / duration.median_s) / duration.sigma)
    else:
        below = (data >= duration.median_s).astype(float)
    ranks = np.arange(len(data) + 1) / len(data)
    return float(max(np.abs(below - ranks[1:]).max(), np.abs(below - ranks[:-1]).max()))


def same_share(groups: Sequence[Sequence[float]], least: int = 30) -> float | None:
    """Return the share of a variance that the members of a group have in common (intraclass correlation).

    Args:
        groups: of values; those of one member tell nothing.
        least: so many groups it takes.

    Returns:
        In [0, 1]; None when there are too few.
    """
    told = [np.array(group, float) for group in groups if len(group) > 1]
    if len(told) < least:
        return None
    sizes = np.array([len(group) for group in told])
    total = int(sizes.sum())
    means = np.array([group.mean() for group in told])
    overall = float(np.concatenate(told).mean())
    between = float((sizes * (means - overall) ** 2).sum()) / (len(told) - 1)
    within = float(sum(((group - group.mean()) ** 2).sum() for group in told)) / (total - len(told))
    size = (total - float((sizes**2).sum()) / total) / (len(told) - 1)
    spread = between + (size - 1) * within
    return min(1.0, max(0.0, (between - within) / spread)) if spread > 0 else None
