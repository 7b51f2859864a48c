"""What the simulator's journal says of retries: the ground truth, whatever the agent's spans claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.records import JournalRow

BIN_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Herd:
    """First retries that came back together.

    Attributes:
        first_retries: how many there were.
        share: largest share of them in one bin of 100 ms, bins counted from the load's begin.
        traces: of the requests in that bin.
    """

    first_retries: int
    share: float | None
    traces: tuple[str, ...]


def herd(journal: Sequence[JournalRow], start_s: float) -> Herd:
    """Find the fullest bin of first retries."""
    first = [row for row in journal if row.attempt == 2]  # noqa: PLR2004 - the second attempt is the first retry
    bins = Counter(int((row.time_s - start_s) // BIN_S) for row in first)
    if not first:
        return Herd(first_retries=0, share=None, traces=())
    fullest, count = bins.most_common(1)[0]
    inside = (row.trace_id for row in first if int((row.time_s - start_s) // BIN_S) == fullest)
    return Herd(
        first_retries=len(first), share=count / len(first), traces=tuple(t for t in inside if t is not None)
    )
