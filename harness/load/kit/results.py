"""The files of a test: a row per call, and the exact histogram."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from harness.load.kit.tally import Tally

HISTOGRAM = "latency.hgrm"
US_PER_MS = 1000.0


def open_rows(folder: Path | None, worker_index: int) -> TextIO | None:
    """Open the file for this process's rows; None when no folder was asked for."""
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f"requests-{worker_index}.jsonl").open("w", encoding="utf-8")


def write_histogram(folder: Path, tally: Tally) -> None:
    """Write the percentile distribution, in ms, as the HdrHistogram plotters read it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / HISTOGRAM).open("wb") as file:
        tally.histogram.output_percentile_distribution(file, US_PER_MS)
