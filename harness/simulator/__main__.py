"""`python -m harness.simulator`: the model API simulator as a process of its own."""

from __future__ import annotations

import argparse
import gc
from pathlib import Path

gc.disable()  # what is imported stays: to look through it meanwhile takes a tenth of the start

from harness.simulator.server import run_or_exit  # noqa: E402 - see above


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(prog="python -m harness.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--config", type=Path, help="JSON of a SimulatorConfig, or TOML (.toml)")
    parser.add_argument("--journal", type=Path, help="gets a JSON line per call")
    parser.add_argument("--experiment", default="")
    parser.add_argument("--arm", default="")
    args = parser.parse_args()
    gc.enable()
    run_or_exit(
        host=args.host,
        port=args.port,
        config=args.config,
        journal=args.journal,
        labels=(args.experiment, args.arm),
    )


main()
