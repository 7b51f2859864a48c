"""How often the gate is right, simulated: its operating characteristic.

    python -m tests.proof.gate_simulated

Writes the tables in `docs/gate-simulated.md`; takes some minutes. What came out on a real machine is in
`docs/gate-rates.md`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

import reference_agent
from harness.gate.blocks import ATTEMPTS, CPU, ERRORS, P50, P99, PER_REQUEST_AT_LIMIT, RSS
from harness.gate.error_rates import rates
from harness.gate.parts import BACKOFF, MODEL, OWN, SESSION, TOOLS
from harness.gate.statistics import LOOKS

PAGE: Final = Path(reference_agent.__file__).parents[1] / "docs" / "gate-simulated.md"
FIGURES: Final = (
    P99, P50, PER_REQUEST_AT_LIMIT, CPU, RSS, ATTEMPTS, SESSION, MODEL, TOOLS, BACKOFF, OWN, ERRORS,
)  # fmt: skip
"""What each pair has: the first is what head changes."""
RATIOS: Final = (1.00, 1.05, 1.10, 1.15, 1.20, 1.30)
NOISES: Final = (0.01, 0.02, 0.05, 0.10, 0.15)
REQUESTS, HICCUP, HICCUP_FAILS = 560, 0.10, 54
"""Of a block; the share of blocks that the machine troubles, of both sides alike; what fails in one."""
DECISIONS: Final = 10_000
HEAD: Final = """# The gate, simulated

{decisions:,} decisions for each cell, made by `python -m tests.proof.gate_simulated` with the gate's own
code (`harness/gate/error_rates.py`). Head's p99 is so many times base's; its p50, time per request at the
limit, CPU per request, memory, attempts per call, the tails of its five parts and its errors are base's. Each
of these ratios but that of errors has the noise named, from pair to pair. A cell is **FAIL / PASS in %**;
what is missing to 100 is inconclusive.

{tables}

`gate-rates.md` has decisions that were made on a real machine.
"""


def ratios(
    rng: np.random.Generator,
    decisions: int,
    *,
    ratio: float,
    noise: float,
    heavy: bool = False,
    hiccups: bool = False,
    all_worse: bool = False,
) -> NDArray[np.float64]:
    """Draw ln(head / base) by decision, figure and pair.

    Args:
        rng: where from.
        decisions: how many.
        ratio: of head's p99 to base's.
        noise: standard deviation of ln ratio from pair to pair, in each figure but errors.
        heavy: whether that noise has heavy tails: Student's t with 4 degrees of freedom.
        hiccups: whether the machine fails requests of both sides alike, a good part of those of a few blocks.
        all_worse: whether all figures but errors have that ratio.
    """
    shape = (decisions, len(FIGURES), LOOKS[-1])
    z = rng.standard_t(4, shape) / np.sqrt(2) if heavy else rng.standard_normal(shape)
    z *= noise
    z[:, : -1 if all_worse else 1] += np.log(ratio)
    blocks = (2, decisions, LOOKS[-1])
    errors = np.where(rng.random(blocks) < HICCUP, rng.binomial(HICCUP_FAILS * 2, 0.5, blocks), 0)
    base, head = REQUESTS / (REQUESTS - errors * hiccups)
    z[:, -1] = np.log(head / base)
    return z


def table(title: str, *, heavy: bool, hiccups: bool) -> str:
    """Make the table of one kind of noise."""
    lines = [
        f"## {title}",
        "",
        f"| noise | {' | '.join(f'{ratio:.2f} times' for ratio in RATIOS)} | pairs at 1.00 times |",
        f"|---|{'---|' * (len(RATIOS) + 1)}",
    ]
    for number, noise in enumerate(NOISES):
        rng = np.random.default_rng(number)
        found = [
            rates(
                ratios(rng, DECISIONS, ratio=ratio, noise=noise, heavy=heavy, hiccups=hiccups),
                [each.tolerance for each in FIGURES],
            )
            for ratio in RATIOS
        ]
        cells = " | ".join(f"{each.failed:.1%} / {each.passed:.1%}".replace("%", "") for each in found)
        lines.append(f"| {noise:.0%} | {cells} | {found[0].pairs:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    tables = (
        table("Normal noise", heavy=False, hiccups=False),
        table(
            f"Normal noise, and a machine that fails some {HICCUP_FAILS} of {REQUESTS} requests in "
            f"{HICCUP:.0%} of all blocks, of both sides alike",
            heavy=False,
            hiccups=True,
        ),
        table(
            "Heavy-tailed noise (Student's t, 4 degrees of freedom), and that machine",
            heavy=True,
            hiccups=True,
        ),
    )
    PAGE.write_text(HEAD.format(decisions=DECISIONS, tables="\n\n".join(tables)), "utf-8")


if __name__ == "__main__":
    main()
