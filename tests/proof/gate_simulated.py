"""How often the gate is right, simulated: its operating characteristic.

    python -m tests.proof.gate_simulated [--decisions 10000]

Writes the tables in `docs/gate-simulated.md`, a line for each row of them as it goes, on one core. What came
out on a real machine is in `docs/gate-rates.md`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

import reference_agent
from harness.gate.blocks import ATTEMPTS, CPU, ERRORS, P50, P99, PER_REQUEST_AT_LIMIT, RSS, Side, order_of
from harness.gate.error_rates import Failed, Rates, rates
from harness.gate.parts import BACKOFF, MODEL, OWN, SESSION, TOOLS
from harness.gate.scenario import STEADY
from harness.gate.statistics import LOOKS

PAGE: Final = Path(reference_agent.__file__).parents[1] / "docs" / "gate-simulated.md"
FIGURES: Final = (
    P99, P50, PER_REQUEST_AT_LIMIT, CPU, RSS, ATTEMPTS, SESSION, MODEL, TOOLS, BACKOFF, OWN, ERRORS,
)  # fmt: skip
"""What each pair has: the first is what head changes."""
RATIOS: Final = (1.00, 1.05, 1.10, 1.15, 1.20, 1.30)
NOISES: Final = (0.01, 0.02, 0.05, 0.10, 0.15)
RESTLESS: Final = (0.20, 0.40, 0.60, 1.00)
"""Of machines that share their cores with others who come and go."""
GROSS: Final = (1.00, 1.05, 2.00)
REQUESTS, HICCUP, HICCUP_FAILS = 560, 0.10, 54
"""Of a block; the share of blocks that the machine troubles, of both sides alike; what fails in one."""
SECOND: Final = 0.05
"""What the second block of each pair takes longer: the processor is warm by then."""
BAD_STARTS: Final = (0.05, 0.10, 0.20, 0.50)
BAD_FAILS: Final = (0.02, 0.05, 0.20, 0.50, 1.00)
"""Shares of head's starts that are bad; of the requests that then fail."""
DECISIONS: Final = 10_000
HEAD: Final = """# The gate, simulated

{decisions:,} decisions for each cell, made by `python -m tests.proof.gate_simulated` with the gate's own
code: its tests and looks, its guard on what fails over all pairs (`harness/gate/error_rates.py`), and the
order in which it draws the blocks of each pair. Head's p99 is so many times base's; its p50, time per request
at the limit, CPU per request, memory, attempts per call, the tails of its five parts and its errors are
base's. Each of these ratios but that of errors has the noise named, from pair to pair. A cell is
**FAIL / PASS in %**; what is missing to 100 is inconclusive, or unknown since head failed too much.

{tables}

`gate-rates.md` has decisions that were made on a real machine.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Decisions to be made.

    Attributes:
        z: ln(head / base) by decision, figure and pair.
        middles: the mean of ln(base) and ln(head) of the same.
        failed: requests that failed, by decision, side and pair.
    """

    z: NDArray[np.float64]
    middles: NDArray[np.float64]
    failed: NDArray[np.int64]

    @property
    def rates(self) -> Rates:
        """Let the gate decide."""
        failed = Failed(counts=self.failed, requests=REQUESTS, bad=ERRORS.tolerance.bad)
        tolerances = [each.tolerance for each in FIGURES]
        return rates(self.z, tolerances, failed_requests=failed, middles=self.middles)


def drawn(
    rng: np.random.Generator,
    decisions: int,
    *,
    ratio: float = 1.0,
    noise: float,
    heavy: bool = False,
    hiccups: bool = False,
    all_worse: bool = False,
    second: float = 0.0,
    bad_starts: float = 0.0,
    bad_fails: float = 0.0,
) -> Drawn:
    """Draw decisions.

    Args:
        rng: where from.
        decisions: how many.
        ratio: of head's p99 to base's.
        noise: standard deviation of ln ratio from pair to pair, in each figure but errors.
        heavy: whether that noise has heavy tails: Student's t with 4 degrees of freedom.
        hiccups: whether the machine fails requests of both sides alike, a good part of those of a few blocks.
        all_worse: whether all figures but errors have that ratio.
        second: what the second block of each pair takes longer, in each figure but errors.
        bad_starts: share of head's starts in which a share `bad_fails` of its requests fails.
        bad_fails: see there.
    """
    shape = (decisions, len(FIGURES), LOOKS[-1])

    def moved() -> NDArray[np.float64]:
        return noise * (rng.standard_t(4, shape) / np.sqrt(2) if heavy else rng.standard_normal(shape))

    z = moved()
    z[:, : -1 if all_worse else 1] += np.log(ratio)
    if second:
        z[:, :-1] += np.log1p(second) * head_is_second(decisions)[:, None, :]
    blocks = (decisions, len(Side), LOOKS[-1])
    failed = np.zeros(blocks, dtype=np.int64)
    if hiccups:
        failed = np.where(rng.random(blocks) < HICCUP, rng.binomial(HICCUP_FAILS * 2, 0.5, blocks), 0)
    if bad_starts:
        bad = rng.random((decisions, LOOKS[-1])) < bad_starts
        failed[:, 1] = np.where(bad, rng.binomial(REQUESTS, bad_fails, bad.shape), failed[:, 1])
    base, head = np.moveaxis(np.log(REQUESTS / np.maximum(REQUESTS - failed, 1)), 1, 0)
    middles = moved() / 2  # of blocks that move each for itself: then it says nothing of z
    z[:, -1], middles[:, -1] = head - base, (base + head) / 2
    return Drawn(z=z, middles=middles, failed=failed)


@cache
def head_is_second(decisions: int) -> NDArray[np.int64]:
    """Return 1 for each pair in which head's block is the second, -1 for the others, as the gate draws it."""
    return np.array(
        [
            [1 if order_of(pair, STEADY, seed)[1] is Side.HEAD else -1 for pair in range(1, LOOKS[-1] + 1)]
            for seed in range(decisions)
        ]
    )


def table(
    title: str,
    decisions: int,
    progress: Callable[[str], None],
    noises: Sequence[float] = NOISES,
    ratios: Sequence[float] = RATIOS,
    **kind: float,
) -> str:
    """Make the table of one kind of noise."""

    def rows() -> Iterator[tuple[str, Sequence[Rates], str]]:
        for number, noise in enumerate(noises):
            rng = np.random.default_rng(number)
            found = [drawn(rng, decisions, ratio=ratio, noise=noise, **kind).rates for ratio in ratios]
            yield f"{noise:.0%}", found, f"{found[0].pairs:.1f}"

    heads = ("noise", *(f"{ratio:.2f} times" for ratio in ratios), "pairs at 1.00 times")
    return _table(title, heads, rows(), progress)


def table_of_starts(title: str, decisions: int, progress: Callable[[str], None]) -> str:
    """Make the table of a head that starts badly at times."""

    def rows() -> Iterator[tuple[str, Sequence[Rates], str]]:
        for number, starts in enumerate(BAD_STARTS):
            rng = np.random.default_rng(number)
            kind = [{"bad_starts": starts, "bad_fails": fails} for fails in BAD_FAILS]
            found = [drawn(rng, decisions, noise=0.05, **each).rates for each in kind]
            yield f"{starts:.0%}", found, f"{found[-1].pairs:.1f}"

    heads = ("bad starts", *(f"{fails:.0%} fail" for fails in BAD_FAILS), f"pairs at {BAD_FAILS[-1]:.0%}")
    return _table(title, heads, rows(), progress)


def _table(
    title: str,
    heads: Sequence[str],
    rows: Iterator[tuple[str, Sequence[Rates], str]],
    progress: Callable[[str], None],
) -> str:
    lines = [f"## {title}", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name, found, pairs in rows:
        cells = [f"{each.failed:.1%} / {each.passed:.1%}".replace("%", "") for each in found]
        lines.append(f"| {' | '.join((name, *cells, pairs))} |")
        progress(f"{title}: {lines[-1]}")
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    asked = argparse.ArgumentParser(description="the gate's operating characteristic")
    asked.add_argument("--decisions", type=int, default=DECISIONS, help="for each cell")
    decisions: int = asked.parse_args().decisions
    begun_s = time.monotonic()

    def progress(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - begun_s:.0f} s: {text}\n")
        sys.stdout.flush()

    hiccups = f"some {HICCUP_FAILS} of {REQUESTS} requests in {HICCUP:.0%} of all blocks, of both sides alike"
    tables = (
        table("Normal noise", decisions, progress),
        table(f"Normal noise, and a machine that fails {hiccups}", decisions, progress, hiccups=True),
        table(
            "Heavy-tailed noise (Student's t, 4 degrees of freedom), and that machine",
            decisions,
            progress,
            heavy=True,
            hiccups=True,
        ),
        table(
            f"Normal noise, and the second block of each pair takes {SECOND:.0%} longer",
            decisions,
            progress,
            second=SECOND,
        ),
        table("Normal noise, of a restless machine", decisions, progress, RESTLESS, GROSS),
        table_of_starts(
            "Head is the same, but fails a share of its requests after some of its starts (5 % noise)",
            decisions,
            progress,
        ),
    )
    PAGE.write_text(HEAD.format(decisions=decisions, tables="\n\n".join(tables)), "utf-8")


if __name__ == "__main__":
    main()
