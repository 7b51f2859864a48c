"""`agentrig demo`: a first verdict."""

from __future__ import annotations

from typing import Final

from harness.clock import SystemClock
from harness.commands.console import OutFolder, finish, out
from harness.commands.progress import TerminalProgress
from harness.experiment.load import load
from harness.run import pipeline

EXPERIMENTS: Final = ("cold-start", "busy-routing", "throttling")
"""In this order: the first one has its verdict soonest."""


def demo(out_dir: OutFolder = None) -> None:
    """See a first verdict.

    Three experiments in their short form, four to five minutes, asked of the reference agent wherever this is
    typed: `agentrig run --quick cold-start busy-routing throttling`.
    """
    known, clock = pipeline.known(), SystemClock()
    settings = pipeline.RunSettings(out=out_dir, quick=True)
    with TerminalProgress(out, clock.monotonic) as progress:
        result, folder = pipeline.run([load(name, known) for name in EXPERIMENTS], settings, progress, clock)
    try:
        finish(result, folder, as_json=False)
    finally:
        out.print(
            f"Next: agentrig traces {folder.path}, or agentrig init in the folder of your agent.",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
