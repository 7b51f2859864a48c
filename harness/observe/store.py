"""What a store of traces left out, and by how much: sampled, lost, late, truncated, by clocks that differ.

A sampler may tell its ratio (`tracestate`, `ot=th:...`). Where it does not, trace ids tell of it: samplers by
ratio keep the ids below a bound, and of many ids that are drawn evenly none lies above it by no chance.
Spans are lost where one says that it is below another of its own process, and that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from harness.analysis.clocks import Bounds
from harness.observe.processes import Processes
from harness.observe.tree import Node, Tree
from harness.records.history import ROUTING_DELAY_S

Kind = Literal["sampled", "lost", "truncated", "skewed", "unclocked"]
LOST: Final = 0.001
"""Above this share of orphans, spans are missing here and there, and not one at an edge."""
ENOUGH_IDS: Final = 100
NO_CHANCE: Final = 1e-9
LEAST_RATIO: Final = 0.001
"""Ids that all lie lower are numbered, or begin with a time: they tell nothing."""
MOST_PAIRS: Final = 5_000
"""Of one process below another, so many tell how far their clocks differ."""
TH_DIGITS: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Something that the store does not have, or has wrong.

    Attributes:
        kind: what.
        said: in a sentence, with how much.
    """

    kind: Kind
    said: str


@dataclass
class _Ids:
    """The largest of some numbers that are drawn evenly between 0 and 1."""

    count: int = 0
    most: float = 0.0

    def add(self, drawn: float) -> None:
        self.count += 1
        self.most = max(self.most, drawn)

    def ratio(self) -> float | None:
        """Return below which bound all of them lie, by no chance; None for none."""
        if self.count < ENOUGH_IDS or self.most < LEAST_RATIO:
            return None
        return self.most if self.most**self.count < NO_CHANCE else None


@dataclass
class Store:
    """What was seen of a store, trace by trace.

    Attributes:
        spans, traces: how many.
        twice: spans that came more than once.
        inner, orphans: spans that are below one of their own process, and those of them whose parent is not
            there.
        sampled_told: the smallest ratio that a sampler told; None for none.
        clashes: traces in which two spans have one id.
        notes: what a source could not give, a sentence each.
    """

    spans: int = 0
    traces: int = 0
    twice: int = 0
    inner: int = 0
    orphans: int = 0
    sampled_told: float | None = None
    clashes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _ids: dict[str, _Ids] = field(default_factory=dict)
    _bounds: dict[tuple[str, str], Bounds] = field(default_factory=dict)

    def add(self, tree: Tree, processes: Processes) -> None:
        """Note a trace."""
        self.traces += 1
        self.spans += len(tree.nodes)
        self.twice += tree.twice
        if tree.clashes:
            self.clashes.append(tree.nodes[0].span.trace_id)
        self._add_ids(tree.nodes[0].span.trace_id)
        for node in tree.nodes:
            self._add_node(node, processes)

    def _add_node(self, node: Node, processes: Processes) -> None:
        span = node.span
        name = processes.name(span)
        if (told := told_ratio(span.trace_state)) is not None:
            self.sampled_told = min(told, self.sampled_told or 1.0)
        if span.parent_span_id is not None and span.kind in {"internal", "client", "producer"}:
            self.inner += 1
            self.orphans += node.orphan
        parent = node.parent
        if parent is not None and parent.process != node.process and span.kind == "server":
            above = processes.name(parent.span)
            bounds = self._bounds.setdefault((above, name), Bounds())
            if len(bounds.most) < MOST_PAIRS:
                bounds.most.append((span.start_ns - parent.span.start_ns) / 1e9)
                bounds.ends.append((span.end_ns - parent.span.end_ns) / 1e9)

    def _add_ids(self, trace_id: str) -> None:
        for name, drawn in evenly(trace_id).items():
            self._ids.setdefault(name, _Ids()).add(drawn)

    def ratio_by_ids(self) -> float | None:
        """Return which share of all traces is there, as their ids tell; None where they don't."""
        found = [ratio for ids in self._ids.values() if (ratio := ids.ratio()) is not None]
        return min(found, default=None)

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
    containers: Iterable[str],
    processes: Processes,
    *,
    sampled: float | None = None,
    synchronised: bool = False,
) -> tuple[Doubt, ...]:
    """Return what the checks on some containers can't rely on.

    Args:
        store: what was seen of it.
        containers: that are judged.
        processes: all that were seen.
        sampled: the share of traces that is kept, as the user says; None for what the store tells.
        synchronised: whether the user says that all hosts have the time from one source.
    """
    names = list(containers)
    found = [Doubt(kind="truncated", said=note) for note in store.notes]
    told = sampled if sampled is not None else store.sampled_told
    ratio, by = (told, "as is told") if told is not None else (store.ratio_by_ids(), "by their ids")
    if ratio is not None and ratio < 1:
        found.append(
            Doubt(
                kind="sampled",
                said=f"only {ratio:.1%} of all traces were kept, {by} ({store.traces} of them)",
            )
        )
    if store.inner and store.orphans > LOST * store.inner:
        share = store.orphans / store.inner
        found.append(
            Doubt(
                kind="lost",
                said=f"{store.orphans} of {store.inner} spans ({share:.2%}) are below one that is not there: "
                "spans are lost, late, or left out by a sampler",
            )
        )
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
