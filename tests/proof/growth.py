"""How often `growth-bounded` says wrongly that something grows, or that it does not, by chance alone.

    python -m tests.proof.growth --draws 1000

What a container holds is drawn for loads of 3,000 and of 18,000 requests, as it looks where nothing grows,
and where each 10,000 requests add a share of it, with noise of several kinds: of each look; that lasts for
some looks, or for a quarter of the load; a saw (a collector of garbage); a step somewhere (a library that is
loaded late); a pool that fills. It prints how often the growth is found, not known, or denied.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean

from rich.console import Console
from rich.table import Table

from harness.judge.invariants.growth_bounded import INVARIANT, PARTS, WARMING, growth_of

LOOKS = 400
LEVEL = 100.0
Noise = Callable[[random.Random, int], Sequence[float]]
"""Gives what each of `LOOKS` looks is off by, as a share of the level, for a load of so many requests."""


def _of_each(draw: random.Random, _: int) -> Sequence[float]:
    return [draw.gauss(0, 0.01) for _ in range(LOOKS)]


def _lasting(rho: float, spread: float) -> Noise:
    def drawn(draw: random.Random, _: int) -> Sequence[float]:
        value, found = draw.gauss(0, spread), list[float]()
        for _ in range(LOOKS):
            value = rho * value + draw.gauss(0, spread * math.sqrt(1 - rho * rho))
            found.append(value)
        return found

    return drawn


def _saw(draw: random.Random, _: int) -> Sequence[float]:
    period, phase = draw.uniform(0.05, 0.7), draw.random()
    return [0.05 * ((look / LOOKS / period + phase) % 1) for look in range(LOOKS)]


def _step(height: float) -> Noise:
    def drawn(draw: random.Random, _: int) -> Sequence[float]:
        at = draw.uniform(0, LOOKS)
        return [height * (look >= at) + draw.gauss(0, 0.001) for look in range(LOOKS)]

    return drawn


def _fills(draw: random.Random, requests: int) -> Sequence[float]:
    share, whole = draw.uniform(0.05, 0.3), draw.uniform(200, 1500)
    return [
        share * (1 - math.exp(-requests * look / LOOKS / whole)) + draw.gauss(0, 0.001)
        for look in range(LOOKS)
    ]


KINDS: dict[str, Noise] = {
    "1 % at each look": _of_each,
    "2 %, over 10 looks": _lasting(0.9, 0.02),
    "2 %, over 50 looks": _lasting(0.98, 0.02),
    "5 %, over 100 looks": _lasting(0.99, 0.05),
    "a saw of 5 %": _saw,
    "a step of 3 %": _step(0.03),
    "a step of 10 %": _step(0.1),
    "a pool that fills": _fills,
}


def told(draw: random.Random, noise: Noise, requests: int, growth: float) -> str:
    """Draw one figure of one container, and return what is said of it."""
    off = noise(draw, requests)
    held = [LEVEL * (1 + growth * requests * n / LOOKS / 10_000 + off[n]) for n in range(LOOKS)]
    later = range(int(WARMING * LOOKS), LOOKS)
    parts = [later[len(later) * n // PARTS : len(later) * (n + 1) // PARTS] for n in range(PARTS)]
    x = [fmean(requests * n / LOOKS / 10_000 for n in part) for part in parts]
    y = [fmean(held[n] for n in part) for part in parts]
    found = growth_of("agent-1", "agentrig.memory", x, y, INVARIANT.limit)
    return "found" if found.over else "not known" if found.unsure else "denied"


def main() -> None:
    """Draw, and print a table for each length."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    out = Console(highlight=False, width=110)
    growths = (0.0, 0.1, 0.3, 1.0, 4.5)
    for requests in (3000, 18_000):
        table = Table("noise", *(f"grows by {growth:.0%}" for growth in growths))
        table.title = (
            f"{requests} requests a container: found / not known / denied, limit {INVARIANT.limit:.0%}"
        )
        for kind, noise in KINDS.items():
            cells = []
            for growth in growths:
                draw = random.Random(f"{kind}/{requests}/{growth}")
                said = Counter(told(draw, noise, requests, growth) for _ in range(draws))
                cells.append(
                    " / ".join(f"{said[each] / draws:.1%}" for each in ("found", "not known", "denied"))
                )
            table.add_row(kind, *cells)
        out.print(table)


if __name__ == "__main__":
    main()
