"""How often `idle-while-waiting` is wrong by chance alone, and how often it misses a needless wait.

    python -m tests.proof.idle_while_waiting --draws 1000

Draws sound fleets of 2 to 8 containers, and the same with every second request held back for 300 ms.
"""

from __future__ import annotations

import argparse

from rich.console import Console

from tests.harness.judge.cases import find
from tests.harness.judge.fleets import fleet

NAME = "idle-while-waiting"


def main() -> None:
    """Draw, and print both shares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    out = Console(highlight=False)
    for needless, said in ((False, "sound fleets found"), (True, "needless waits missed")):
        figures = [find(NAME, fleet(seed, needless=needless)) for seed in range(draws)]
        wrong = sum(finding.holds is needless for finding in figures)
        shares = sorted(finding.observed or 0.0 for finding in figures)
        out.print(f"{said}: {wrong} of {draws}; figures from {shares[0]:.3g} to {shares[-1]:.3g}")


if __name__ == "__main__":
    main()
