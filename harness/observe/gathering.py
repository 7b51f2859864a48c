"""From the spans of a store to histories, one for each service: what the checks of a run look at.

No journal stands against what an agent tells, nothing says how the fleet was set up: the containers are those
that were heard of, and how much one works on at once is the most that one did, unless the limit is given.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from harness import contract
from harness.analysis.occupancy import steps
from harness.analysis.throttle import herd
from harness.errors import InputError
from harness.observe import requests
from harness.observe.processes import Group, Life, Processes, group_of, process_of
from harness.observe.requests import Gathered
from harness.observe.store import Doubt, Store, doubts
from harness.observe.traces import MOST_IN_MEMORY, by_trace
from harness.observe.tree import Tree, tree
from harness.observe.untimely import FROM_NS, UNTIL_NS, Judged, Untimely, Why
from harness.records.history import (
    MENDABLE,
    ROUTING_DELAY_S,
    ArmHistory,
    CallKey,
    Herd,
    JoinedRequest,
    Joins,
    call_key,
    grouped,
)
from harness.records.seen import JournalRow, Span
from harness.records.sent import RequestRow
from harness.records.setup import ArmFacts, Container

OBSERVED: Final = "observed"
ALWAYS: Final = Judged()
MOST_REQUESTS: Final = 50_000
"""Some 200 MB of them, and twice as many are held at the most."""
MOST_SERVICES: Final = 500
"""Each takes about a second, and a page of the report."""
MOST_BUILDS: Final = 50_000
"""First ones that are kept: an agent that builds more than so many is found out by these."""
NO_ANSWER: Final = "no answer was begun"
PAGE: Final = "no Agent works on such requests"
CAUSE_S: Final = 60.0
"""So soon after something broke a client is built again, or its build has another cause."""
OUTAGE_S: Final = 1.0
OUTAGE_SHARE: Final = 0.5
OUTAGE_ATTEMPTS: Final = 5
"""Where half of the attempts of a second fail in a way that a retry may mend, and they are as many, those who
made them are turned away together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedHistory(ArmHistory):
    """What happened in a service, as its spans tell.

    Attributes:
        orphans: by request, how many of its spans lack their parent.
        http: how many HTTP requests of model calls were seen.
        same_ids: pairs of containers that were there at once under one instance id.
        clashes: traces in which two spans have one id.
        dialects: how many requests each of them told of.
        heard_s: when each container was first heard of (Unix).
    """

    orphans: Mapping[str, int] = field(default_factory=dict)
    http: int = 0
    same_ids: tuple[tuple[str, str], ...] = ()
    clashes: tuple[str, ...] = ()
    dialects: Mapping[str, int] = field(default_factory=dict)
    heard_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the user says of the fleet and the store.

    Attributes:
        concurrency_limit: requests that one container may work on at once; None to take the most seen.
        sampled: share of the traces that is kept; None for what the store tells.
        synchronised: whether all hosts have the time from one source.
    """

    concurrency_limit: int | None = None
    sampled: float | None = None
    synchronised: bool = False


@dataclass
class _Service:
    """What waits to be judged.

    Attributes:
        gathered: requests.
        builds: of clients; the first ones stay once they were judged, for they count over all windows.
        names: the containers that were heard of.
        judged_s: until when (Unix) all was judged.
        is_agents: whether it was seen to work as an agent does, in any stretch of time.
    """

    gathered: list[Gathered] = field(default_factory=list)
    builds: list[Span] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    judged_s: float | None = None
    is_agents: bool = False


class Gathering:
    """Takes spans in, and gives histories.

    Args:
        services: the names of those that are judged; all that work as an agent does when none is given.
        most_in_memory: spans that are held at once.
        most_requests: so many of a service are in one history; more are in several, one after the other.
    """

    def __init__(
        self,
        services: Sequence[str] = (),
        most_in_memory: int = MOST_IN_MEMORY,
        most_requests: int = MOST_REQUESTS,
    ) -> None:
        self._wanted = set(services)
        self._most = most_in_memory
        self._most_requests = most_requests
        self._processes = Processes()
        self._services: defaultdict[Group, _Service] = defaultdict(_Service)
        self._untimely: defaultdict[Group, Untimely] = defaultdict(Untimely)
        self._waiting = 0
        self._from_s: float | None = None
        self.store = Store()
        self.elsewhen = 0
        """Traces that are older than what is looked at, or so new that the next look has them."""

    def windows(
        self, spans: Iterable[Span], known: Known, judged: Judged = ALWAYS
    ) -> Iterator[tuple[Group, ObservedHistory, bool]]:
        """Take the spans of a source, and yield what happened in each service, one stretch after the other.

        Of each it is told whether it is one of several.

        What the store does not have is known when all are taken in: `doubts`.

        Args:
            spans: in any order.
            known: what the user says.
            judged: when.

        Raises:
            InputError: they are of more services than one look judges.
        """
        self._from_s = judged.from_s
        for trace in by_trace(spans, self._most):
            self._take(trace, judged)
            if self._waiting > 2 * self._most_requests:
                yield from self._first_half(known)
        for group, history in self.histories(known).items():
            yield group, history, self._services[group].judged_s is not None
        there = {service for service, _ in self._services}
        for service in sorted(self._wanted - there) if there else ():  # of which nothing at all is seen
            yield (service, ""), self._history((service, ""), _Service(), known, ()), False

    def take(self, spans: Iterable[Span], judged: Judged = ALWAYS) -> None:
        """Take the spans of a source, all of which fit into one history of each service."""
        self._from_s = judged.from_s
        for trace in by_trace(spans, self._most):
            self._take(trace, judged)

    def _take(self, trace: Sequence[Span], judged: Judged) -> None:
        undated = [span for span in trace if span.start_ns < FROM_NS or span.end_ns > UNTIL_NS]
        if undated:
            self._leave_out("undated", undated)
            trace = [span for span in trace if span.start_ns >= FROM_NS and span.end_ns <= UNTIL_NS]
        if not trace:
            return
        why = judged.leaves_out(trace)
        if why == "earlier or later":
            self.elsewhen += 1
        elif why:
            self._leave_out(why, trace)
        else:
            self._add(tree(trace))

    def _leave_out(self, why: Why, trace: Sequence[Span]) -> None:
        found = requests.gather(tree(trace), Processes())  # who is in there is not heard of by that
        agents = {each.group for each in found if each.is_agents}
        for group, mine in grouped(trace, lambda span: group_of(process_of(span))).items():
            if not self._wanted or group[0] in self._wanted:
                self._untimely[group].add(why, mine, is_agents=group in agents)

    def _add(self, found: Tree) -> None:
        self.store.add(found, self._processes)
        for gathered in requests.gather(found, self._processes):
            if not self._wanted or gathered.group[0] in self._wanted:
                mine = self._services[gathered.group]
                mine.gathered.append(gathered)
                mine.is_agents |= gathered.is_agents
                self._waiting += 1
        for group, build in requests.builds(found, self._processes):
            if not self._wanted or group[0] in self._wanted:
                self._services[group].builds.append(build)

    @property
    def services(self) -> tuple[str, ...]:
        """The services of which anything was seen that served, or built clients."""
        return tuple(sorted({service for service, _ in self._services}))

    @property
    def others(self) -> tuple[str, ...]:
        """Those of them that are not judged, as nothing tells that they work as an agent does."""
        return tuple(sorted({group[0] for group in [*self._services] if not self._is_judged(group)}))

    def doubts(self, group: Group, known: Known) -> tuple[Doubt, ...]:
        """Return what the store does not have that a service's checks rest on, as far as it is known now."""
        found = doubts(
            self.store,
            group,
            self._services[group].names,
            self._processes,
            sampled=known.sampled,
            synchronised=known.synchronised,
        )
        untimely = self._untimely[group].told(self.store.of(group).traces, self._processes)
        return (*(Doubt(kind="untimely", said=said) for said in untimely), *found)

    def histories(self, known: Known) -> dict[Group, ObservedHistory]:
        """Return what happened in each service that is judged, since its last window.

        Raises:
            InputError: there are more of them than one look judges.
        """
        same_ids = self._processes.same_ids()
        of_all = {*self._services, *(group for group, left in self._untimely.items() if left.is_agents)}
        judged = sorted(group for group in of_all if self._is_judged(group))
        if len(judged) > MOST_SERVICES:
            raise InputError(
                f"{len(judged)} services work as agents do, and {MOST_SERVICES} are judged at once. Name "
                "those that matter with --service, or let `service.name` tell the service and nothing else."
            )
        return {group: self._history(group, self._services[group], known, same_ids) for group in judged}

    def _is_judged(self, group: Group) -> bool:
        return bool(self._wanted) or self._services[group].is_agents or self._untimely[group].is_agents

    def _first_half(self, known: Known) -> Iterator[tuple[Group, ObservedHistory, bool]]:
        """Yield the older half of the service of which most is held, and let go of it."""
        group, seen = max(self._services.items(), key=lambda each: len(each[1].gathered))
        ranked = sorted(seen.gathered, key=lambda each: each.joined.row.due_s)
        half = len(ranked) // 2
        until_s = ranked[half].joined.row.due_s
        later = [build for build in seen.builds if build.start_ns >= until_s * 1e9]
        seen.gathered = ranked[:half]
        seen.builds = [build for build in seen.builds if build.start_ns < until_s * 1e9]
        if self._is_judged(group):
            yield group, self._history(group, seen, known, self._processes.same_ids()), True
        first = [build for build in seen.builds if not _is_again(build)][:MOST_BUILDS]
        seen.gathered, seen.builds, seen.judged_s = ranked[half:], [*first, *later], until_s
        self._waiting -= half

    def _history(
        self, group: Group, seen: _Service, known: Known, same_ids: Sequence[tuple[str, str]]
    ) -> ObservedHistory:
        ranked = sorted(seen.gathered, key=lambda each: each.joined.row.due_s)
        neither = _neither(ranked)
        joined = tuple(
            replace(each.joined, row=replace(neither(each), index=index)) for index, each in enumerate(ranked)
        )
        journal = tuple(sorted((row for each in joined for row in each.journal), key=lambda row: row.time_s))
        names = list(
            dict.fromkeys(
                name
                for name in [
                    *(each.container for each in joined),
                    *(span.instance for each in joined for span in each.spans if span.service == group[0]),
                    *(build.instance for build in seen.builds),
                ]
                if name is not None
            )
        )
        lives = {name: self._processes.lives[name] for name in names}
        facts = _facts(group, joined, lives, known)
        seen.names |= dict.fromkeys(names)
        mine = set(names)
        return ObservedHistory(
            facts=facts,
            requests=joined,
            inits=tuple(sorted(_builds(seen, self._from_s), key=lambda span: span.start_ns)),
            journal=journal,
            herd=herd_of(journal),
            joins=Joins(received=len(journal), joined=len(journal)),
            clocks=self.store.clocks(names),
            orphans={each.joined.row.trace_id: each.orphans for each in ranked if each.orphans},
            http=sum(each.http for each in ranked),
            same_ids=tuple(pair for pair in same_ids if mine.issuperset(pair)),
            clashes=tuple(self.store.of(group).clashes),
            dialects=Counter(name for each in ranked for name in each.dialects),
            heard_s={name: life.first_ns / 1e9 for name, life in lives.items()},
        )


def _neither(ranked: Sequence[Gathered]) -> Callable[[Gathered], RequestRow]:
    """Return what tells which requests are neither successes nor failures of an agent.

    Those are the ones that nobody had an answer of, as others had: who asked left before. And pages that are
    there, of kinds that no Agent works on: thousands of them would hide what fails, and what is slow.
    """
    others_tell = not all(each.untold for each in ranked)
    worked_on = {kind_of(each.joined) for each in ranked if each.is_agents}

    def row_of(each: Gathered) -> RequestRow:
        row = each.joined.row
        if each.untold and others_tell:
            return replace(row, left=True, error=NO_ANSWER)
        is_page = each.joined.server is not None and worked_on and kind_of(each.joined) not in worked_on
        return replace(row, left=True, error=PAGE) if is_page and row.ok else row

    return row_of


def kind_of(request: JoinedRequest) -> str:
    """Return what is asked for: the method, and the route."""
    return request.server.name if request.server is not None else ""


def _is_again(build: Span) -> bool:
    return build.attributes.get(contract.CLIENT_INIT_STATE) == "reinit"


def _builds(seen: _Service, from_s: float | None) -> list[Span]:
    """Return the builds that a history has: what made a client break may lie before its begin."""
    begin_s = from_s if seen.judged_s is None else seen.judged_s
    if begin_s is None:
        return seen.builds
    from_ns = (begin_s + CAUSE_S) * 1e9
    return [build for build in seen.builds if not _is_again(build) or build.start_ns >= from_ns]


def _facts(
    group: Group, joined: Sequence[JoinedRequest], lives: Mapping[str, Life], known: Known
) -> ArmFacts:
    start_s = min((each.row.due_s for each in joined), default=0.0)
    end_s = max((each.row.end_s for each in joined), default=start_s)
    most = most_at_once(joined)
    limit = known.concurrency_limit or max(most, 1)
    return ArmFacts(
        experiment=group[0],
        arm=OBSERVED,
        control=False,
        containers=tuple(
            Container(
                name=name, address="", joined_s=joined_s, left_s=max(lives[name].last_ns / 1e9, start_s)
            )
            for name, joined_s in _ready_s(joined, lives).items()
        ),
        concurrency_limit=limit,
        policy="",
        start_s=start_s,
        end_s=end_s,
        planned=len(joined),
        learnt=("containers", *(() if known.concurrency_limit else ("concurrency_limit",))),
    )


def _ready_s(joined: Iterable[JoinedRequest], lives: Mapping[str, Life]) -> dict[str, float]:
    """Return from when on (Unix) each container could be sent requests: from its first answer on.

    What it did before that is its start, in which no balancer sends it anything.
    """
    served: dict[str, float] = {}
    for each in joined:
        if each.container is not None and each.taken_s is not None:
            first_s = min(each.taken_s - ROUTING_DELAY_S, served.get(each.container, math.inf))
            served[each.container] = first_s
    ready = {
        name: min(
            math.inf if life.answered_ns is None else life.answered_ns / 1e9, served.get(name, math.inf)
        )
        for name, life in lives.items()
    }
    return {name: ready_s for name, ready_s in ready.items() if ready_s < math.inf}


def most_at_once(joined: Iterable[JoinedRequest]) -> int:
    """Return the most requests that one container had in work at once."""
    work: defaultdict[str | None, list[tuple[float, float]]] = defaultdict(list)
    for each in joined:
        if each.taken_s is not None and each.done_s is not None and each.container is not None:
            work[each.container].append((each.taken_s, each.done_s))
    return max((count for intervals in work.values() for _, count in steps(intervals)), default=0)


def herd_of(journal: Sequence[JournalRow]) -> Herd:
    """Find the retries that came back together: of those whom one outage turned away, where there was one."""
    windows = outages(journal)
    if not windows:
        return herd(journal)
    of_call = grouped(journal, call_key)
    begins = [begin_s for begin_s, _ in windows]
    met: list[dict[CallKey, None]] = [{} for _ in windows]
    for row in journal:
        number = bisect_right(begins, row.time_s) - 1
        if number >= 0 and row.time_s < windows[number][1]:
            met[number][call_key(row)] = None
    found = [  # of the calls of each outage alone: others are no part of its herd
        herd([row for call in mine for row in of_call[call]], [window])
        for mine, window in zip(met, windows, strict=True)
    ]
    return max(found, key=lambda each: (each.share or 0.0, each.first_retries))


def outages(journal: Iterable[JournalRow]) -> list[tuple[float, float]]:
    """Return from when to when (Unix) most attempts failed in a way that a retry may mend."""
    tried, failed = Counter[int](), Counter[int]()
    for row in journal:
        second = int(row.time_s // OUTAGE_S)
        tried[second] += 1
        failed[second] += row.fault_class in MENDABLE
    out: list[tuple[float, float]] = []
    for second in sorted(tried):
        if tried[second] < OUTAGE_ATTEMPTS or failed[second] < OUTAGE_SHARE * tried[second]:
            continue
        begin_s, end_s = second * OUTAGE_S, (second + 1) * OUTAGE_S
        if out and out[-1][1] == begin_s:
            out[-1] = (out[-1][0], end_s)
        else:
            out.append((begin_s, end_s))
    return out
