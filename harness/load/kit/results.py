"""The files of a test: a row per call, and the exact histogram."""

from __future__ import annotations

import io
import itertools
from collections.abc import Collection
from pathlib import Path
from typing import TextIO

from harness.load.kit.tally import Tally

HISTOGRAM = "latency.hgrm"
US_PER_MS = 1000.0


def unused(folder: Path, used: Collection[Path]) -> Path:
    """Return where a test's files go: a folder, or one below it where it has those of another test.

    Args:
        folder: that was asked for.
        used: folders of the tests before in this process, whose files may be on other machines.
    """
    below = (folder / f"test-{number}" for number in itertools.count(2))
    return next(
        each for each in itertools.chain([folder], below) if each not in used and not _holds_a_test(each)
    )


def _holds_a_test(folder: Path) -> bool:
    return (folder / HISTOGRAM).exists() or any(folder.glob("requests-*.jsonl"))


def open_rows(folder: Path | None, worker_index: int) -> TextIO | None:
    """Open the file for this process's rows; None when no folder was asked for."""
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / f"requests-{worker_index}.jsonl").open("w", encoding="utf-8")


def histogram_text(tally: Tally) -> str:
    """Return the percentile distribution, in ms, as the HdrHistogram plotters read it."""
    written = io.BytesIO()
    tally.histogram.output_percentile_distribution(written, US_PER_MS)
    return written.getvalue().decode()


def write_histogram(folder: Path, tally: Tally) -> None:
    """Write the percentile distribution into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HISTOGRAM).write_text(histogram_text(tally), "utf-8")
