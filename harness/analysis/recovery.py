"""How long after a fault cleared requests are as they were before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.records.history import JoinedRequest
from harness.records.setup import ArmFacts, Window

BIN_S = 1.0
PER_BIN = 10
"""Where fewer requests come in a second, the time is cut into longer pieces with about as many."""
GOOD_SHARE = 0.9
"""A piece counts as recovered when at least so many succeed, of the share that succeeded before ..."""
FEW = 2
"""... or all but so few, which other faults may have taken at any time, ..."""
SLOWER = 2.0
"""... and their median is within so many times the median before. Medians, for the same reason."""
ENOUGH = 20
"""Fewer requests before or after the fault tell nothing."""
ENOUGH_IN_BIN = 5
"""A piece with fewer requests is not judged; when most are so, nothing is told."""
MANY = 5 * PER_BIN
"""The share of so many tells: no other fault takes a few in each piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """How long it took, and how long was looked: as long as it took when it had not ended by then."""

    took_s: float
    observed_s: float


def recovery(requests: Sequence[JoinedRequest], facts: ArmFacts) -> Recovery | None:
    """Return the time from the end of the last timed fault until requests are as before the first.

    The time after the fault is cut into seconds, by when requests were due, or into longer pieces where few
    come. Recovery ends with the last piece in which fewer requests succeeded than before the fault (90 % of
    that share), or their median latency was over twice the one before; 0.0 when there is none. Of a longer
    piece it is the second in which the last request was due that failed or was slow. It has not ended where
    fewer succeed of all that come later. What the model refuses for good counts in neither; what it
    refuses since the agent sent no request, or a wrong key, in both.

    Args:
        requests: of the arm, joined.
        facts: its windows. Another phase of the load that begins after the fault ends the look.

    Returns:
        None without a timed fault, or with too few requests around it.
    """
    faults = [window for window in facts.windows if window.kind == "fault"]
    if not faults:
        return None
    begin_s, clear_s = min(w.from_s for w in faults), max(w.to_s for w in faults)
    end_s = _observed_until_s(facts.windows, clear_s, facts.end_s - facts.start_s)
    timed = [(r.row.due_s - facts.start_s, r) for r in requests if not _refused_for_good(r)]
    before = [r for due_s, r in timed if due_s < begin_s and r.row.phase != "burst"]
    if len(before) < ENOUGH or not _share(before):
        return None
    bin_s = max(BIN_S, PER_BIN * begin_s / len(before))
    bins: dict[int, list[JoinedRequest]] = {}
    pieces = int((end_s - clear_s) / bin_s)  # a part of one would be judged by a few
    for due_s, request in timed:
        if clear_s <= due_s < clear_s + pieces * bin_s:
            bins.setdefault(int((due_s - clear_s) / bin_s), []).append(request)
    if sum(map(len, bins.values())) < ENOUGH:
        return None
    judged = {number: due for number, due in bins.items() if len(due) >= ENOUGH_IN_BIN}
    if len(judged) < pieces / 2:
        return None
    share, median_s, observed_s = _share(before), _median_s(before), pieces * bin_s
    last = max((n for n, due in judged.items() if not _as_usual(due, share, median_s)), default=-1)
    after = [request for number, due in judged.items() if number > last for request in due]
    if not after or (len(after) >= MANY and _share(after) < GOOD_SHARE * share):
        return Recovery(took_s=observed_s, observed_s=observed_s)
    late_s = [
        r.row.due_s - facts.start_s - clear_s for r in judged.get(last, ()) if not _is_usual(r, median_s)
    ]
    took_s = min((int(max(late_s, default=-BIN_S) / BIN_S) + 1) * BIN_S, (last + 1) * bin_s)
    return Recovery(took_s=took_s, observed_s=observed_s)


def _as_usual(due: Sequence[JoinedRequest], share: float, median_s: float) -> bool:
    lost = sum(not request.row.ok for request in due)
    succeed = lost <= FEW or _share(due) >= GOOD_SHARE * share
    return succeed and _median_s(due) <= SLOWER * median_s


def _is_usual(request: JoinedRequest, median_s: float) -> bool:
    return request.row.ok and request.row.latency_s <= SLOWER * median_s


def _share(requests: Sequence[JoinedRequest]) -> float:
    return sum(request.row.ok for request in requests) / len(requests)


def _median_s(requests: Sequence[JoinedRequest]) -> float:
    """Return the median latency of the successes; 0.0 when there are none."""
    return median([request.row.latency_s for request in requests if request.row.ok] or [0.0])


def _refused_for_good(request: JoinedRequest) -> bool:
    return any(row.fault_class == "permanent" and row.served_a_fault for row in request.journal)


def _observed_until_s(windows: Sequence[Window], clear_s: float, end_s: float) -> float:
    return min((w.from_s for w in windows if w.kind == "phase" and w.from_s >= clear_s), default=end_s)
