"""No two retries wait alike: neither those of one container, nor those of two.

A wait is what lies between an answer's end and the next attempt, beyond the Retry-After that was told. Waits
of first, second and third retries are looked at by themselves, as the agent tells of them, since a busy
machine smears what the simulator's journal has; and as the journal has them, since what is told need not be
what was waited. Two things make them alike. Without jitter, a large share of them lies within 100 ms. And
with jitter that each container draws from the same seed, the waits of one are well spread, and found again in
each other one.

How many are found again: with `n` and `m` waits in two containers that draw from one seed, up to `min(n, m)`
pairs are equal, to the 5 ms that most hand-overs take. Chance makes equal pairs, too; how many, the pairs
within each container tell, which are no twins in any case: `E = w / N_w * N_c`, where `w` of the `N_w` pairs
within containers are equal, and `N_c` pairs lie across. Of `c` equal pairs across, `c - E` are beyond chance,
with a standard error of `s = sqrt(E * (1 + N_c / N_w))`. The figure is `(c - E - 3.1 s) / sum of min(n, m)`,
the least that is not chance in 999 of 1,000 draws: 0 for independent draws, whatever their distribution, and
0.4 to 0.9 for one seed.

That of all containers together hides two among many that draw from one seed (the second in which they were
started, say). So the same is asked of each two of them that have waits enough, with as many more standard
errors as there are such twos; and once more for waits that are equal to half a millisecond, as those are that
an agent tells of: so few pairs are so by chance that two containers show what hand-overs else blur.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from math import inf, isqrt, sqrt
from statistics import NormalDist
from types import MappingProxyType
from typing import TypeGuard

from harness import contract
from harness.judge.case import Case, Finding, Invariant, at_most, no_data, worst
from harness.judge.evidence import COPIES, WHOSE_CALLS
from harness.judge.loops import loops, retries
from harness.quantiles import fullest
from harness.records.history import ENOUGH_RETRIES, ArmHistory, JoinedRequest
from harness.records.seen import Attribute, JournalRow

WINDOW_S = 0.1
EQUAL_S = 0.005
TOLD_EQUAL_S = 0.0005
ONE_IN_1000 = 3.1
"""Standard errors, one-sided."""
ENOUGH_OF_TWO = 20
"""Waits of a container: a fifth of fewer is so little that chance makes as many equal pairs in some two."""
MOST_COMPARED = 100_000
"""Waits that are held against each other in all twos together. Containers with most waits go first; of each
30, there may be 57 of them, of each 1,000 ten."""
ORDINAL = {1: "first", 2: "second", 3: "third"}


@dataclass(frozen=True, slots=True, order=True)
class Wait:
    """The seconds that an attempt waited beyond what it was told, and its trace."""

    seconds: float
    trace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """Equal waits in different containers.

    Attributes:
        pairs: how many there were.
        by_chance: as many were to be expected.
        variance: of their difference.
        at_most: as many there are when all draw from one seed.
    """

    pairs: int
    by_chance: float
    variance: float
    at_most: int


def _examine(case: Case) -> Finding:
    groups = [group for group in loops(case.history) if len(group) > 1]
    waits, received = _waits(case.history, groups, told=True), _waits(case.history, groups, told=False)
    first = sum(map(len, waits.get(1, {}).values()))
    if not first:
        return no_data("no call of a known container was tried again")
    if first < ENOUGH_RETRIES[1]:
        return Finding(
            holds=None, observed=None, message="chance alone makes so few of them alike", cases=first
        )
    enough = {k: of_each for k, of_each in waits.items() if _count(of_each) >= ENOUGH_RETRIES[k]}
    alike = max((_alike(k, source[k]) for k in enough for source in (waits, received)), key=lambda it: it[0])
    again, of_two = _again(enough), _again_in_two(enough)
    share, what, traces = max(alike, again, of_two, key=lambda each: each[0])
    return at_most(case, share, what, worst(traces), cases=first)


def _count(of_each: Mapping[str, Sequence[Wait]]) -> int:
    return sum(map(len, of_each.values()))


def _waits(
    history: ArmHistory, groups: Sequence[Sequence[JournalRow]], *, told: bool
) -> dict[int, dict[str, list[Wait]]]:
    """Return the waits before first, second, ... retries, by container, shortest first.

    Args:
        history: has the requests.
        groups: the attempts of each call that was tried again.
        told: whether what an agent tells of a wait is preferred to what the journal has.
    """
    request_of = {request.row.trace_id: request for request in history.requests}
    found: dict[int, dict[str, list[Wait]]] = {}
    for group in groups:
        request = request_of.get(group[0].trace_id or "")
        if request is None or request.container is None:
            continue
        told_s = _told_s(request) if told else {}
        for retry, earlier, later in retries(group):
            if retry in ENOUGH_RETRIES:
                waited_s = told_s.get(earlier.parent_span_id, later.time_s - earlier.end_s)
                of_each = found.setdefault(retry, defaultdict(list))
                wait = Wait(waited_s - (earlier.retry_after_s or 0.0), later.trace_id or "")
                of_each[request.container].append(wait)
    return {
        retry: {name: sorted(waits) for name, waits in of_each.items()} for retry, of_each in found.items()
    }


def _told_s(request: JoinedRequest) -> dict[str | None, float]:
    """Return how long the agent says that it waited, by the span of the attempt before."""
    found: dict[str | None, float] = {}
    for call in request.model_calls:
        mine = [span for span in request.attempts if span.parent_span_id == call.span_id]
        for event in call.events:
            delay_s = event.attributes.get(contract.RETRY_DELAY_S)
            before = [span for span in mine if span.start_ns <= event.time_ns]
            if _is_time(delay_s) and before:
                found[max(before, key=lambda span: span.start_ns).span_id] = float(delay_s)
    return found


def _is_time(told: Attribute) -> TypeGuard[int | float]:
    """Whether an agent told how long it waited: what is no number, or below zero, is no time."""
    return isinstance(told, int | float) and not isinstance(told, bool) and 0 <= told < inf


def _alike(retry: int, of_each: Mapping[str, Sequence[Wait]]) -> tuple[float, str, list[str]]:
    """Return the largest share of waits within 100 ms, in words, and their traces."""
    all_of_them = sorted(wait for waits in of_each.values() for wait in waits)
    window = fullest(WINDOW_S, [wait.seconds for wait in all_of_them])
    what = (
        f"of {len(all_of_them)} waits before {ORDINAL[retry]} retries, beyond what was told, largest share "
        "within 100 ms"
    )
    return len(window) / len(all_of_them), what, [all_of_them[n].trace for n in window]


def _again_in_two(waits: Mapping[int, Mapping[str, Sequence[Wait]]]) -> tuple[float, str, list[str]]:
    """Return the largest share of waits of one container that are found again in another one."""
    count = Counter[str]()
    for of_each in waits.values():
        count.update({name: len(its) for name, its in of_each.items()})
    most = isqrt(MOST_COMPARED // max([*count.values(), 1]))
    names = [name for name, number in count.most_common(max(2, most)) if number >= ENOUGH_OF_TWO]
    twos = list(combinations(names, 2))
    errors = NormalDist().inv_cdf(1 - 0.001 / len(twos)) if twos else 0.0
    found: list[tuple[float, str, list[str]]] = []
    for equal_s in (EQUAL_S, TOLD_EQUAL_S):
        usual = {k: _within(of_each.values(), equal_s) for k, of_each in waits.items()}
        found += [_again(_of(two, waits), errors, usual, equal_s) for two in twos]
    share, what, traces = max(found, key=lambda each: each[0], default=(0.0, "", []))
    return share, f"of two containers of {len(names)}, {what}", traces


def _of(
    names: Sequence[str], waits: Mapping[int, Mapping[str, Sequence[Wait]]]
) -> dict[int, dict[str, Sequence[Wait]]]:
    return {k: {n: of_each[n] for n in names if n in of_each} for k, of_each in waits.items()}


def _again(
    waits: Mapping[int, Mapping[str, Sequence[Wait]]],
    errors: float = ONE_IN_1000,
    usual: Mapping[int, float] = MappingProxyType({}),
    equal_s: float = EQUAL_S,
) -> tuple[float, str, list[str]]:
    """Return the share of waits that are found again in another container, beyond chance.

    Args:
        waits: by number of the retry, and container.
        errors: so many standard errors are chance.
        usual: by number of the retry, the share of pairs within a container that are equal in the whole
            fleet, where these containers are a part of it: their own pairs are too few to go by alone.
        equal_s: by less than this equal waits differ.
    """
    found = [_twins(of_each, usual.get(k, 0.0), equal_s) for k, of_each in waits.items()]
    most = sum(twins.at_most for twins in found)
    pairs, by_chance = sum(twins.pairs for twins in found), sum(twins.by_chance for twins in found)
    chance = by_chance + errors * sqrt(sum(twins.variance for twins in found))
    what = (
        f"{pairs} pairs of equal waits in different containers, {by_chance:.0f} of them to be expected by "
        f"chance and {most} with one seed for all: share of waits that are found again, at the least"
    )
    traces = [trace for of_each in waits.values() for trace in _traces_of_twins(of_each)]
    return (max(0.0, pairs - chance) / most if most else 0.0), what, traces


def _twins(of_each: Mapping[str, Sequence[Wait]], usual: float, equal_s: float) -> Twins:
    seconds = [[wait.seconds for wait in waits] for waits in of_each.values()]
    sizes = sorted(map(len, seconds))
    # of all pairs, those that are not within one: of thousands of containers, no two are looked at together
    within, pairs_within = _equal_within(seconds, equal_s), _pairs_within(sizes)
    every = sorted(chain.from_iterable(seconds))
    across = (_equal(every, every, equal_s) - len(every)) // 2 - within
    pairs_across = len(every) * (len(every) - 1) // 2 - pairs_within
    ratio = pairs_across / max(1, pairs_within)
    by_chance = max(within * ratio, usual * pairs_across)
    return Twins(
        pairs=across,
        by_chance=by_chance,
        variance=by_chance * (1 + ratio),
        at_most=sum(size * (len(sizes) - number) for number, size in enumerate(sizes, start=1)),
    )


def _within(of_each: Iterable[Sequence[Wait]], equal_s: float) -> float:
    """Return the share of the pairs within containers that are equal; 0.0 where there is no pair."""
    seconds = [[wait.seconds for wait in waits] for waits in of_each]
    return _equal_within(seconds, equal_s) / max(1, _pairs_within(map(len, seconds)))


def _equal_within(seconds: Iterable[Sequence[float]], equal_s: float) -> int:
    return sum((_equal(one, one, equal_s) - len(one)) // 2 for one in seconds)


def _pairs_within(sizes: Iterable[int]) -> int:
    return sum(size * (size - 1) // 2 for size in sizes)


def _equal(one: Sequence[float], other: Sequence[float], equal_s: float) -> int:
    """Count the pairs of one and another that differ by less than `equal_s`; both shortest first."""
    return sum(bisect_left(other, s + equal_s) - bisect_right(other, s - equal_s) for s in one)


def _traces_of_twins(of_each: Mapping[str, Sequence[Wait]]) -> Iterator[str]:
    """Yield the traces of pairs of equal waits in the first two containers."""
    for one, other in combinations(of_each.values(), 2):
        for wait in one:
            at = bisect_left(other, wait.seconds, key=lambda each: each.seconds)
            if at < len(other) and other[at].seconds - wait.seconds < EQUAL_S:
                yield from (wait.trace, other[at].trace)
        return


INVARIANT = Invariant(
    id="delays-differ",
    title="no two retries wait alike",
    limit=0.2,
    unit="1",
    timing=True,
    remedy="Draw the backoff of each retry anew, from a generator that is seeded by the system.",
    case="first retries in containers that are known",
    cases_needed=ENOUGH_RETRIES[1],
    more_cases="Serve more faults that a retry may mend.",
    examine=_examine,
    of_calls=True,
    needs=(WHOSE_CALLS, COPIES),
)
