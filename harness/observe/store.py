"""What a store of traces left out, and by how much: sampled, lost, late, truncated, by clocks that differ.

A sampler may tell its ratio (`tracestate`, `ot=th:...`). Where it does not, trace ids tell of it: samplers by
ratio keep the ids below a bound, and of many ids that are drawn evenly none lies above it by no chance.
Spans are lost where one says that it is below another of its own process, and that is not there; and where a
caller or a balancer had an answer of a service, as it has of others that are there, and nothing is below it;
and where a container's refusal is below what is not there, as those beside it are not.
All of that is told of each service by itself: its neighbours may be whole.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from harness.analysis.clocks import Bounds
from harness.observe.dialects import http, values
from harness.observe.processes import Group, Processes, group_of
from harness.observe.requests import REFUSED
from harness.observe.tree import Node, Tree
from harness.records.history import ROUTING_DELAY_S
from harness.records.observed import Attempt, Hop, Served
from harness.records.seen import Span

Kind = Literal["sampled", "uneven", "lost", "truncated", "untimely", "skewed", "unclocked"]
LOST: Final = 0.001
"""Above this share of orphans, spans are missing here and there, and not one at an edge."""
SURELY_SOME: Final = 0.9
"""Where a smaller share of refusals lacks its caller, the callers of the others tell that it was lost."""
ENOUGH_IDS: Final = 20
NO_CHANCE: Final = 1e-9
ENOUGH_UNEVEN: Final = 100
ENDS: Final = 16
"""Of an end, the halves, quarters, and so on, that ids are counted in."""
LEAST_RATIO: Final = 1e-6
"""Ids that all lie lower are numbered: they tell nothing."""
MOST_CALLERS: Final = 10_000
"""Kinds of calls that are told apart; who writes ids into its paths has more."""
IDS: Final = re.compile(r"[0-9a-fA-F-]{8,}|[0-9]+")
"""What differs from call to call in a path."""
ANSWERED: Final = range(200, 400)
"""Statuses that only who worked on a request gives."""
EVEN: Final = {"low 64", "low 63", "low 56", "xor 32"}
"""The bits that ways to draw an id spread evenly: the others may hold a time."""
OF_UUIDS: Final = {"low 56", "xor 32", "high 64"}
"""The bits that are drawn where ids are random UUIDs, which have two fixed ones in the middle."""
MOST_RATIOS: Final = 1_000
"""That samplers tell; one that adapts its own makes up more."""
MOST_PAIRS: Final = 5_000
"""Of one process below another, so many tell how far their clocks differ."""
PROBABILISTIC: Final = {"probabilistic", "traceidratio"}
TH_DIGITS: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Something that the store does not have, or has wrong.

    Attributes:
        kind: what.
        said: in a sentence, with how much.
        kept: of what was sampled, the share of the traces that is there.
    """

    kind: Kind
    said: str
    kept: float | None = None


@dataclass
class _Ids:
    """The least and the largest of some numbers that are drawn evenly between 0 and 1."""

    count: int = 0
    least: float = 1.0
    most: float = 0.0
    ends: tuple[list[int], list[int]] = field(default_factory=lambda: ([0] * (ENDS + 1), [0] * (ENDS + 1)))

    def add(self, drawn: float, halves: tuple[int, int]) -> None:
        self.count += 1
        self.least = min(self.least, drawn)
        self.most = max(self.most, drawn)
        for counts, at in zip(self.ends, halves, strict=True):
            counts[at] += 1

    def uneven(self) -> float | None:
        """Return the share of all that is there where an end has more than its part, by no chance.

        None where it is spread evenly. Some senders keep a share of their traces then, and others all.
        """
        if self.count < ENOUGH_UNEVEN:
            return None
        found = [0.0, 1.0]
        for counts in self.ends:
            within = self.count
            for halves in range(1, ENDS + 1):
                within -= counts[halves - 1]
                if self.count - within < ENOUGH_IDS:
                    continue  # nothing lies elsewhere: see `ratio`
                chance, part = 2.0**-halves, within / self.count
                surprise = self.count * _divergence(part, chance)
                found = max(found, [surprise, chance / part if part else 1.0])
        return found[1] if found[0] > -math.log(NO_CHANCE) else None

    def ratio(self) -> float | None:
        """Return the width of the range at an end in which all of them lie, by no chance; None for none.

        Drawn ones fill it: those that begin with a time lie together in the middle of nowhere.
        """
        if self.count < ENOUGH_IDS:
            return None
        lower, upper = self.most, 1 - self.least
        filled = ((lower, self.least <= lower / 2), (upper, 1 - self.most <= upper / 2))
        found = [width for width, is_filled in filled if is_filled and width >= LEAST_RATIO]
        return min((width for width in found if width**self.count < NO_CHANCE), default=None)


def _divergence(part: float, chance: float) -> float:
    """Return how surprising a part of many is that is larger than by chance, for each of them (Chernoff)."""
    if part <= chance:
        return 0.0
    rest = (1 - part) * math.log((1 - part) / (1 - chance)) if part < 1 else 0.0
    return part * math.log(part / chance) + rest


@dataclass
class _Service:
    """What is there of the spans of a service.

    Attributes:
        traces: that it is in.
        spans, backwards: how many it has, and those of them that end before they begin.
        inner, orphans: spans that are below one of their own process, and those of them whose parent is not
            there.
        refusals, apart, cut: requests that it was too full for, in traces of a balancer; those of them that
            nobody above is known to have asked for; and of these those whose trace has its first span.
        sampled_told: the smallest ratio that a sampler told; None for none.
        told: how many traces have which ratio, 1 where nothing is told; of many ratios the first ones.
        clashes: traces in which two of its spans have one id.
        uuids: how many of these have an id that may be a random UUID.
        ids: of the traces that it is in, by the bits that samplers look at.
    """

    traces: int = 0
    spans: int = 0
    backwards: int = 0
    inner: int = 0
    orphans: int = 0
    refusals: int = 0
    apart: int = 0
    cut: int = 0
    sampled_told: float | None = None
    told: Counter[float] = field(default_factory=Counter)
    clashes: list[str] = field(default_factory=list)
    uuids: int = 0
    ids: dict[str, _Ids] = field(default_factory=dict)

    def uneven(self) -> float | None:
        """Return the share that is there where it is more of some senders than of others; else None."""
        found = [ids.uneven() for name, ids in self._drawn() if name in EVEN]
        return min((ratio for ratio in found if ratio is not None), default=None)

    def tell(self, ratio: float | None) -> None:
        """Note which share its sampler says it keeps of such traces."""
        if ratio is not None:
            self.sampled_told = min(ratio, self.sampled_told or 1.0)
        share = ratio or 1.0
        self.told[share if share in self.told or len(self.told) < MOST_RATIOS else 0.0] += 1

    def is_mixed(self) -> bool:
        """Whether it keeps more of some traces than of others, as those do that keep all errors."""
        return self.traces - max(self.told.values(), default=0) > LOST * self.traces

    def ratio_by_ids(self) -> float | None:
        """Return which share of all traces is there, as their ids tell; None where they don't."""
        found = [ratio for _, ids in self._drawn() if (ratio := ids.ratio()) is not None]
        return min(found, default=None)

    def _drawn(self) -> list[tuple[str, _Ids]]:
        are_uuids = self.uuids == self.traces
        return [(name, ids) for name, ids in self.ids.items() if name in OF_UUIDS or not are_uuids]


@dataclass
class _Calls:
    """Calls of one kind: from one service, under one name, for one host and path.

    Attributes:
        served: those with a span of a service below.
        alone: those that were answered, and have none.
        by: the services whose spans are below.
    """

    served: int = 0
    alone: int = 0
    by: set[Group] = field(default_factory=set)


@dataclass
class Store:
    """What was seen of a store, trace by trace.

    Attributes:
        spans, traces: how many.
        twice: spans that came more than once.
        notes: what a source could not give, a sentence each.
    """

    spans: int = 0
    traces: int = 0
    twice: int = 0
    notes: list[str] = field(default_factory=list)
    _services: defaultdict[Group, _Service] = field(default_factory=lambda: defaultdict(_Service))
    _calls: dict[tuple[str, ...], _Calls] = field(default_factory=dict)
    _bounds: dict[tuple[str, str], Bounds] = field(default_factory=dict)

    def add(self, tree: Tree, processes: Processes) -> None:
        """Note a trace."""
        self.traces += 1
        self.spans += len(tree.nodes)
        self.twice += tree.twice
        trace_id = tree.nodes[0].span.trace_id
        told = min((ratio for node in tree.nodes if (ratio := _told(node.span)) is not None), default=None)
        for group in {group_of(node.process) for node in tree.nodes if node.span.span_id in tree.clashes}:
            self._services[group].clashes.append(trace_id)
        services = {self._add_node(node, processes) for node in tree.nodes}
        if any(isinstance(node.part, Hop) for node in tree.nodes):
            self._add_refusals(tree.nodes)
        drawn_by = [
            (name, drawn, (_halves(drawn), _halves(1 - drawn))) for name, drawn in evenly(trace_id).items()
        ]
        is_uuid = trace_id[12] == "4" and trace_id[16] in "89ab"
        for group in services:
            service = self._services[group]
            service.traces += 1
            service.uuids += is_uuid
            service.tell(told)
            for name, drawn, halves in drawn_by:
                if name not in service.ids:
                    service.ids[name] = _Ids()
                service.ids[name].add(drawn, halves)

    def _add_node(self, node: Node, processes: Processes) -> Group:
        """Note a span, and return whose it is."""
        span, group = node.span, group_of(node.process)
        name, service = processes.name(node.process, span), self._services[group]
        service.spans += 1
        service.backwards += span.end_ns < span.start_ns
        if span.parent_span_id is not None and span.kind in {"internal", "client", "producer"}:
            service.inner += 1
            service.orphans += node.orphan
        parent = node.parent
        if parent is not None and parent.process != node.process and span.kind == "server":
            above = processes.name(parent.process, parent.span)
            bounds = self._bounds.setdefault((above, name), Bounds())
            if len(bounds.most) < MOST_PAIRS:
                bounds.most.append((span.start_ns - parent.span.start_ns) / 1e9)
                bounds.ends.append((span.end_ns - parent.span.end_ns) / 1e9)
        if isinstance(node.part, Hop | Attempt):
            self._add_call(node, node.part)
        return group

    def _add_refusals(self, nodes: Sequence[Node]) -> None:
        """Note who was too full in a trace of a balancer, which asks another one then.

        Below a span that is not there, of a try or of the balancer's whole request, a refusal looks like the
        end of a request of its own. A caller may send no spans: of a balancer's whole request that all of
        the trace's balancing is below, nothing else is missing.
        """
        has_first = any(node.span.parent_span_id is None for node in nodes)
        hops = sum(isinstance(node.part, Hop) for node in nodes)
        wholes = dict[int, bool]()
        for node in nodes:
            if isinstance(node.part, Served) and node.part.status == REFUSED and node.span.kind == "server":
                outer = node
                for above in node.above():
                    if not isinstance(above.part, Hop):
                        break
                    outer = above
                apart = outer.orphan
                if apart and isinstance(outer.part, Hop) and outer.span.kind == "server":
                    if id(outer) not in wholes:
                        wholes[id(outer)] = _hops_from(outer) == hops
                    apart = not wholes[id(outer)]
                service = self._services[group_of(node.process)]
                service.refusals += 1
                service.apart += apart
                service.cut += apart and has_first

    def _add_call(self, node: Node, part: Hop | Attempt) -> None:
        span = node.span
        path = _without_ids(http.path(span)[: values.MOST_CHARS])
        kind: tuple[str, ...] = (span.service, span.name, http.host(span), path)
        if kind not in self._calls and len(self._calls) >= MOST_CALLERS:
            kind = (span.service, http.host(span))  # of these there are as many as hosts
        calls = self._calls.setdefault(kind, _Calls())
        below = [each for each in node.below if each.process != node.process]
        by = {group_of(each.process) for each in below if isinstance(each.part, Served)}
        calls.served += bool(by)
        calls.alone += not below and part.status in ANSWERED
        calls.by |= by

    def unserved(self, group: Group) -> tuple[int, int]:
        """Return how many calls of a service were answered and have no span below, and of how many."""
        mine = [calls for calls in self._calls.values() if group in calls.by]
        alone = sum(calls.alone for calls in mine)
        return alone, alone + sum(calls.served for calls in mine)

    def of(self, group: Group) -> _Service:
        """Return what is there of a service's spans."""
        return self._services[group]

    def clocks(self, containers: Iterable[str]) -> dict[str, float]:
        """Return by how many seconds each container's clock is ahead of its callers', where it surely is."""
        wanted, found = set(containers), dict[str, float]()
        for (_, name), bounds in self._bounds.items():
            offset_s = bounds.offset_s()
            if name in wanted and abs(offset_s) > abs(found.get(name, 0.0)):
                found[name] = offset_s
        return found

    def unclocked(self, containers: Iterable[str], processes: Processes) -> list[str]:
        """Return the containers whose clock nothing is compared with, where there are several hosts."""
        names = list(containers)
        hosts = {processes.hosts.get(name) for name in names}
        if len(names) < 2 or (len(hosts) == 1 and None not in hosts):  # noqa: PLR2004 - one has one clock
            return []
        compared = {name for _, name in self._bounds}
        return [name for name in names if name not in compared]


def _hops_from(top: Node) -> int:
    """Return how many spans of balancers there are, from one of them on down."""
    found, waiting = 0, [top]
    while waiting:
        node = waiting.pop()
        found += isinstance(node.part, Hop)
        waiting += node.below
    return found


@lru_cache(maxsize=4096)
def _without_ids(path: str) -> str:
    return IDS.sub("*", path)


def _halves(distance: float) -> int:
    """Return how often all must be halved for a distance from an end to be outside, `ENDS` at the most."""
    return max(0, min(ENDS, -math.frexp(distance)[1])) if distance > 0 else ENDS


def _told(span: Span) -> float | None:
    """Return the share of traces that a span's sampler says it keeps; None where it says nothing, or all.

    In the state of the trace, or in attributes as remote samplers (Jaeger) and those of Honeycomb write them.
    """
    if span.trace_state and (told := told_ratio(span.trace_state)) is not None:
        return told
    if span.attributes.get("sampler.type") in PROBABILISTIC:
        share = values.number(span, "sampler.param")
        return share if share is not None and 0 < share < 1 else None
    rate = span.attributes.get("SampleRate")
    return 1 / rate if isinstance(rate, int) and rate > 1 else None


def told_ratio(trace_state: str) -> float | None:
    """Return the ratio that a sampler put into a `tracestate`; None for none, or for all."""
    for member in trace_state.split(","):
        vendor, _, values = member.strip().partition("=")
        if vendor != "ot":
            continue
        for value in values.split(";"):
            key, _, digits = value.partition(":")
            if key == "th" and 0 < len(digits) <= TH_DIGITS:
                try:
                    threshold = int(digits.ljust(TH_DIGITS, "0"), 16)
                except ValueError:
                    continue
                return 1 - threshold / 16**TH_DIGITS if threshold else None
    return None


def evenly(trace_id: str) -> Mapping[str, float]:
    """Return the numbers by which samplers of several SDKs choose, each between 0 and 1.

    The low 64 bits (Python, Go, C++), the low 63 (Java, Go), the high 64 (.NET), and 32 bits that all parts
    are put together to (JavaScript).
    """
    number = int(trace_id, 16)
    low, high = number & (2**64 - 1), number >> 64
    words = [number >> shift & (2**32 - 1) for shift in (96, 64, 32, 0)]
    return {
        "low 64": low / 2**64,
        "low 63": (low & (2**63 - 1)) / 2**63,
        "low 56": (low & (2**56 - 1)) / 2**56,
        "high 64": (high & (2**63 - 1)) / 2**63,
        "xor 32": (words[0] ^ words[1] ^ words[2] ^ words[3]) / 2**32,
    }


def doubts(
    store: Store,
    group: Group,
    containers: Iterable[str],
    processes: Processes,
    *,
    sampled: float | None = None,
    synchronised: bool = False,
) -> tuple[Doubt, ...]:
    """Return what the checks on a service can't rely on.

    Args:
        store: what was seen of it.
        group: the service.
        containers: of it, that are judged.
        processes: all that were seen.
        sampled: the share of traces that is kept, as the user says; None for what the store tells.
        synchronised: whether the user says that all hosts have the time from one source.
    """
    names = list(containers)
    found = [Doubt(kind="truncated", said=note) for note in store.notes]
    found += _doubts_of_number(store, group, sampled)
    clocks = store.clocks(names)
    if clocks:
        name, offset_s = max(clocks.items(), key=lambda each: abs(each[1]))
        found.append(
            Doubt(
                kind="skewed",
                said=f"{len(clocks)} of {len(names)} clocks differ from their callers' by more than "
                f"{ROUTING_DELAY_S * 1e3:.0f} ms, {name}'s by {offset_s:+.3f} s",
            )
        )
    if not synchronised and (alone := store.unclocked(names, processes)):
        found.append(
            Doubt(
                kind="unclocked",
                said=f"nothing tells whether the clocks of {len(alone)} of {len(names)} containers agree: no "
                "caller's or balancer's span is above theirs; say `clocks=synchronised` if they do",
            )
        )
    return tuple(found)


def _doubts_of_number(store: Store, group: Group, sampled: float | None) -> Iterator[Doubt]:
    """Yield which spans of a service are not there."""
    service = store.of(group)
    told = sampled if sampled is not None else service.sampled_told
    ratio, by = (told, "as is told") if told is not None else (service.ratio_by_ids(), "by their ids")
    if sampled is None and service.is_mixed():
        least, most = min(service.told), max(service.told)
        said = (
            f"of some traces {least:.1%} were kept and of others {most:.1%}, as is told: shares and "
            "quantiles are of what was kept"
        )
        yield Doubt(kind="uneven", said=said, kept=service.sampled_told)
    elif ratio is not None and ratio < 1:
        said = f"only {ratio:.1%} of all traces were kept, {by} ({service.traces} of them)"
        yield Doubt(kind="sampled", said=said, kept=ratio)
    elif told is None and (kept := service.uneven()) is not None:
        said = (
            f"at most {kept:.1%} of all traces were kept, by their ids ({service.traces} of them), and not "
            "the same share of each sender or kind"
        )
        yield Doubt(kind="uneven", said=said, kept=kept)
    if service.orphans > LOST * service.inner:
        share = service.orphans / service.inner
        yield Doubt(
            kind="lost",
            said=f"{service.orphans} of {service.inner} spans ({share:.2%}) are below one that is not there: "
            "spans are lost, late, or left out by a sampler",
        )
    if service.backwards > LOST * service.spans:
        said = (
            f"{service.backwards} of {service.spans} spans end before they begin: a clock was set meanwhile"
        )
        yield Doubt(kind="lost", said=said)
    # callers that are missing of nearly all never send their spans, unless what called them is there
    missing = service.cut if service.apart >= SURELY_SOME * service.refusals else service.apart
    if missing > LOST * service.refusals:
        yield Doubt(
            kind="lost",
            said=f"{missing} of {service.refusals} refusals ({missing / service.refusals:.2%}) are below a "
            "span of a balancer or a caller that is not there, so that nobody knows whether another was asked"
            ": spans are lost, late, or left out by a sampler",
        )
    alone, calls = store.unserved(group)
    if alone > LOST * calls:
        yield Doubt(
            kind="lost",
            said=f"{alone} of {calls} requests ({alone / calls:.2%}) were answered, as their callers or "
            "balancers tell, and no span of who did is there: spans are lost, late, or left out by a sampler",
        )
