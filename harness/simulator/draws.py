"""Random draws that depend on what is drawn for, never on who came first.

Every draw is a hash of the seed and the names of the thing: the same plan and seed give the same
fault and the same latency for the same call, whatever the order of arrival.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from hashlib import blake2b, sha256
from statistics import NormalDist
from typing import Any

from harness.simulator_config import Distribution, Occurrence

_NORMAL = NormalDist()
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_SCALE = 2.0**-53


def uniform(seed: int, *names: str | int) -> float:
    """Return a number in [0, 1), always the same for the same arguments."""
    text = "\x1f".join(map(str, (seed, *names)))
    bits = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 11
    return bits * _SCALE


def duration_s(distribution: Distribution, seed: int, *names: str | int) -> float:
    """Draw a duration in seconds; a constant one costs no hash.

    Args:
        distribution: constant or lognormal.
        seed: of the run.
        names: of what the duration is drawn for.
    """
    if distribution.p99_s is None:
        return distribution.median_s
    inside = min(max(uniform(seed, *names), 1e-12), 1 - 1e-12)
    return distribution.median_s * math.exp(distribution.sigma * _NORMAL.inv_cdf(inside))


def call_id(model: str, messages: Any) -> str:
    """Name a logical call by what is asked: 16 hex digits, the same in each attempt."""
    return sha256(_canonical([model, messages]).encode()).hexdigest()[:16]


class RuleCounts:
    """How often each rule of a list was for something that came, and fired."""

    def __init__(self) -> None:
        self._matched: Counter[int] = Counter()
        self.fired: Counter[int] = Counter()
        """By the rule's number."""

    def fires(self, number: int, rule: Occurrence, seed: int, *names: str | int) -> bool:
        """Count that a rule is for something; return whether it fires: each n-th time, so often, by its draw.

        Args:
            number: of the rule.
            rule: when it fires.
            seed: of the run.
            names: of what its draw is for.
        """
        self._matched[number] += 1
        if rule.every_n is not None and self._matched[number] % rule.every_n:
            return False
        if rule.times is not None and self.fired[number] >= rule.times:
            return False
        fires = uniform(seed, number, rule.kind, *names) < rule.probability
        self.fired[number] += fires
        return fires
