"""What a container holds does not grow with what it has answered.

Memory, file descriptors, threads, connections and lines of `/metrics` are looked at through the whole load.
The first fifth is left out: a container that has just begun fills its pools. The rest is cut into twelve
parts; through their means a straight line is laid over the requests that the container had answered by then.
Its slope is the growth per 10,000 requests, as a share of what was held at first, and the scatter of the
parts around it gives the interval of that, at 99 % (Student's t with ten degrees of freedom: 3.17 standard
errors). It holds where every interval ends below the limit. What is seen of one container has to be seen of
each, and all the while: one that grows so much that nobody can look at it any more is not to be green.

It falls short where one begins above it, so does that of the later six parts by themselves (four degrees of
freedom: 4.60), and the later six grow at half the pace of the earlier ones at the least: what grows with each
request does. A single step (a library that is loaded late) or a pool that is still filling does not, and
makes the line steep all the same; then, and where an interval has the limit within, the load was too short
to tell. What noise of other kinds does to that, `python -m tests.proof.growth` simulates.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, sqrt
from statistics import fmean

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.judge.evidence import HELD
from harness.records.history import ArmHistory, grouped
from harness.records.seen import MetricPoint

PARTS = 12
T_99 = {12: 3.169, 6: 4.604}
"""Student's t, two-sided, by the number of parts: two degrees of freedom fewer."""
LEVELS_OFF = 0.5
"""What grows later at less than this share of its pace before may be about to end."""
PER = 10_000.0
WARMING = 0.2
LEAST = 3
"""Looks in each part."""
BLIND = 4
"""So small a part of the time, an n-th, a container may be out of sight: a look may fail now and then."""
ENOUGH_REQUESTS = 1000
"""A tenth of what the growth is told for: the line is not drawn out further than that."""
WORDS = {
    "agentrig.memory": "memory",
    "agentrig.file_descriptors": "file descriptors",
    "agentrig.threads": "threads",
    "agentrig.connections": "connections",
    "agentrig.series": "lines of /metrics",
}
"""What a container holds. The store is not among it: it is to grow with what it is given."""
STORE = "agentrig.store.size"
LEAST_LEVEL = 50.0
"""What a count is held against at the least: one more of three is no growth, ten more are."""


@dataclass(frozen=True, slots=True, order=True)
class Growth:
    """Per 10,000 requests, as a share of what was held at first.

    Attributes:
        least, share, most: the interval, and what lies in its middle.
        container, what: of whom.
        over: whether it is above the limit for sure, and went on to the end.
        unsure: whether it may be.
    """

    least: float
    share: float
    most: float
    container: str
    what: str
    over: bool
    unsure: bool


def _examine(case: Case) -> Finding:
    history = case.history
    if not history.growth:
        return no_data("nobody looked at what the containers hold")
    served = _served(history)
    found = list(_growths(history, served, case.limit))
    if not found:
        return no_data("no container was looked at often enough")
    over = [growth for growth in found if growth.over]
    open_ones = [growth for growth in found if growth.unsure]
    shown = max(over or open_ones or found, key=lambda growth: growth.least if over else growth.most)
    what = (
        f"{WORDS[shown.what]} of {shown.container} grow by {shown.share:.1%} per 10,000 requests "
        f"({shown.least:.1%} to {shown.most:.1%})"
    )
    unseen = _hardly_seen(history, served)
    holds = False if over else None if open_ones or unseen else True
    said = ""
    if holds is None and open_ones:
        said = f"; {len(open_ones)} of {len(found)} figures can't be bounded by so short a load"
        said += ", this one grew by a step, or levels off" if shown.least > case.limit else ""
    elif holds is None:
        said = f"; {unseen[0]} was hardly looked at"
    said += _of_store(history)
    return Finding(
        holds=holds,
        observed=shown.least if over else shown.most,
        message=f"of {len(found)} figures the one that grows most: {what}, limit {case.limit:.0%}{said}",
        cases=min((len(times_s) for times_s in served.values()), default=0),
    )


def _of_store(history: ArmHistory) -> str:
    """Say by how much the store grows, which it is to do: nothing is held against it."""
    points = [p for p in _looks(history) if p.name == STORE]
    done_s = sorted(request.row.end_s for request in history.requests)
    if len(points) < PARTS * LEAST:
        return ""
    return f"; the store grows by {_line(*_parts(points, done_s))[0] / PER:,.0f} bytes a request"


def _looks(history: ArmHistory) -> list[MetricPoint]:
    """Return the looks at a load that is under way, without its first fifth."""
    from_s = history.facts.start_s + WARMING * (history.facts.end_s - history.facts.start_s)
    return [point for point in history.growth if from_s <= point.time_s <= history.facts.end_s]


def _served(history: ArmHistory) -> Mapping[str, Sequence[float]]:
    """Return when each container had answered a request, in order."""
    done = [(each.container, each.row.end_s) for each in history.requests if each.container is not None]
    return {name: sorted(time_s for _, time_s in of) for name, of in grouped(done, lambda it: it[0]).items()}


def _growths(history: ArmHistory, served: Mapping[str, Sequence[float]], limit: float) -> Iterator[Growth]:
    mine = [point for point in _looks(history) if point.name in WORDS]
    for (container, what), points in grouped(mine, lambda p: (p.source, p.name)).items():
        if container in served and len(points) >= PARTS * LEAST:
            yield growth_of(container, what, *_parts(points, served[container]), limit)


def _hardly_seen(history: ArmHistory, served: Mapping[str, Sequence[float]]) -> list[str]:
    """Name what was seen of a container, and not of each that was always there, or not all the while."""
    facts = history.facts
    there = [each.name for each in facts.containers if each.joined_s is None and each.left_s is None]
    looks = grouped(
        (point for point in history.growth if point.name in WORDS), lambda point: (point.source, point.name)
    )
    kinds = dict.fromkeys(what for _, what in looks)
    from_s = facts.start_s + WARMING * (facts.end_s - facts.start_s)
    longest_s = (facts.end_s - from_s) / BLIND

    def hardly(name: str, what: str) -> bool:
        mine = looks.get((name, what), ())
        times_s = sorted(point.time_s for point in mine if from_s <= point.time_s <= facts.end_s)
        apart_s = (after - before for before, after in pairwise((from_s, *times_s, facts.end_s)))
        return len(times_s) < PARTS * LEAST or max(apart_s) > longest_s

    return [
        f"{WORDS[what]} of {name}"
        for what in kinds
        for name in there
        if name in served and hardly(name, what)
    ]


def _parts(points: Sequence[MetricPoint], served_s: Sequence[float]) -> tuple[list[float], list[float]]:
    """Return the means of the parts: tens of thousands of requests answered by then, and what was held."""
    ranked = sorted(points, key=lambda point: point.time_s)
    parts = [ranked[len(ranked) * n // PARTS : len(ranked) * (n + 1) // PARTS] for n in range(PARTS)]
    x = [fmean(bisect_right(served_s, point.time_s) / PER for point in part) for part in parts]
    return x, [fmean(point.value for point in part) for part in parts]


def growth_of(container: str, what: str, x: Sequence[float], y: Sequence[float], limit: float) -> Growth:
    """Lay a line through all parts, and one through each half of them.

    Args:
        container: whose growth it is.
        what: grows.
        x: by how many tens of thousands of requests each part stands apart from the first.
        y: what was held in it.
        limit: what the growth is held against.
    """
    level, half = max(y[0], LEAST_LEVEL), PARTS // 2
    slope, error = _line(x, y)
    before, _ = _line(x[:half], y[:half])
    after, off = _line(x[half:], y[half:])
    over, to_the_end = (slope - error) / level > limit, (after - off) / level > limit
    over = over and to_the_end and after >= LEVELS_OFF * before
    return Growth(
        least=(slope - error) / level,
        share=slope / level,
        most=(slope + error) / level,
        container=container,
        what=what,
        over=over,
        unsure=not over
        and (not (slope + error) / level <= limit or to_the_end),  # a figure that is none, too
    )


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Return the slope of the straight line through some parts, and by how much it may be off."""
    mean_x, mean_y = fmean(x), fmean(y)
    spread = sum((each - mean_x) ** 2 for each in x)
    if spread <= 0:  # it answered nothing meanwhile
        return 0.0, inf
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    rest = sum((b - mean_y - slope * (a - mean_x)) ** 2 for a, b in zip(x, y, strict=True))
    return slope, T_99[len(x)] * sqrt(rest / (len(x) - 2) / spread)


INVARIANT = Invariant(
    id="growth-bounded",
    title="what a container holds does not grow",
    limit=0.2,
    unit="1",
    remedy="Look at what is kept for each request and never given back: caches without a bound, labels of "
    "metrics that carry ids, connections that nobody closes, tasks that nobody awaits.",
    case="requests that the least busy container answered",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Let the load last longer: --hours.",
    examine=_examine,
    needs=(HELD,),
)
