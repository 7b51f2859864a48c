"""One trace as a tree, each span with what it tells."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from harness.observe.dialects import read
from harness.observe.processes import Process, process_of
from harness.records.observed import Hop, Part, Served
from harness.records.seen import Span

US: Final = 1_000
NEVER_ENDED: Final = ("strands.",)
"""Scopes of frameworks that send no span of a step in which a call failed, and those below it."""


@dataclass(slots=True, kw_only=True, eq=False)
class Node:
    """A span in its trace.

    Attributes:
        span: as it came.
        part: what it tells, None for nothing that a dialect knows.
        dialect: which one knew it.
        process: where it comes from.
        parent: above it; of an orphan the request of its process that it was part of, if there is one.
        orphan: whether it says that it is below a span which is not there.
        below: right below it, in order of their begin.
    """

    span: Span
    part: Part | None
    dialect: str
    process: Process
    parent: Node | None = None
    orphan: bool = False
    below: list[Node] = field(default_factory=list)

    def above(self) -> Iterator[Node]:
        """Yield the spans above it, the nearest first."""
        at = self.parent
        while at is not None:
            yield at
            at = at.parent

    def within(self) -> Iterator[Node]:
        """Yield the spans below it that are of the same process, in order of their begin about."""
        waiting = [*reversed(self.below)]
        while waiting:
            node = waiting.pop()
            if node.process == self.process:
                yield node
                waiting += reversed(node.below)

    def topmost(self, wanted: Callable[[Node], bool]) -> Iterator[Node]:
        """Yield the wanted spans below it in the same process, and nothing that is below one of these."""
        waiting = [*reversed(self.below)]
        while waiting:
            node = waiting.pop()
            if node.process != self.process:
                continue
            if wanted(node):
                yield node
            else:
                waiting += reversed(node.below)


@dataclass(slots=True, kw_only=True)
class Tree:
    """A trace.

    Attributes:
        nodes: its spans, in order of their begin.
        twice: spans that came more than once, all the same: a sender that tried again.
        clashes: ids that two different spans of it have, unless they are the two sides of one call.
    """

    nodes: list[Node]
    twice: int = 0
    clashes: list[str] = field(default_factory=list)


def tree(spans: Sequence[Span]) -> Tree:
    """Put the spans of a trace in their places; one that says it is above itself is nowhere."""
    found: dict[str, Node] = {}
    shared: dict[str, Node] = {}
    twice, clashes, others = 0, list[str](), list[Node]()
    process_by = dict[tuple[str, str | None, int], Process]()  # spans of one batch have one resource
    for span in spans:
        known = found.get(span.span_id)
        before = [each[span.span_id] for each in (found, shared) if span.span_id in each]
        if any(_same(each.span, span) for each in before):
            twice += 1
            continue
        told = read(span)
        dialect, part = told or ("", None)
        sender = span.service, span.instance, id(span.resource)
        if (process := process_by.get(sender)) is None:
            process = process_by[sender] = process_of(span)
        node = Node(span=span, part=part, dialect=dialect, process=process)
        if known is not None and len(before) == 1 and _share(known, node):
            sides = (known, node) if span.kind == "server" else (node, known)
            found[span.span_id], shared[span.span_id] = sides
        elif known is not None:
            clashes.append(span.span_id)
            others.append(node)
        else:
            found[span.span_id] = node
    nodes = sorted(
        [*found.values(), *shared.values(), *others], key=lambda node: (node.span.start_ns, -node.span.end_ns)
    )
    tops = _Tops()
    for node in nodes:
        parent = _parent(node, found, shared)
        if parent is None or not tops.put_below(node, parent):
            node.orphan = node.span.parent_span_id is not None
    _adopt(nodes, tops)
    for node in nodes:  # these were below one that its framework never ends: nothing is lost
        node.orphan = node.orphan and not node.span.scope.startswith(NEVER_ENDED)
    return Tree(nodes=nodes, twice=twice, clashes=clashes)


def grouped_below(nodes: Sequence[Node]) -> dict[int, list[Node]]:
    """Group spans by what is right above them."""
    groups: defaultdict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        groups[id(node.parent)].append(node)
    return groups


def _parent(node: Node, found: Mapping[str, Node], shared: Mapping[str, Node]) -> Node | None:
    """Return what a span is below, if it is there.

    Args:
        node: the span.
        found: all by their ids, of two sides of a call the caller's.
        shared: the other side.
    """
    if shared.get(node.span.span_id) is node:
        return found[node.span.span_id]
    told = node.span.parent_span_id or ""
    served = shared.get(told)
    return served if served is not None and served.process == node.process else found.get(told)


def _share(one: Node, other: Node) -> bool:
    """Whether two spans of one id are the two sides of one call, as Zipkin's tracers send them."""
    sides = {one.span.kind, other.span.kind} == {"client", "server"} and one.process != other.process
    return sides and one.span.parent_span_id == other.span.parent_span_id


def _same(one: Span, other: Span) -> bool:
    """Whether a span came twice: some stores keep microseconds, so that one of the two may lack the rest."""
    near = abs(one.start_ns - other.start_ns) < US and abs(one.end_ns - other.end_ns) < 2 * US
    return near and (one.name, one.service, one.instance) == (other.name, other.service, other.instance)


class _Tops:
    """Knows what each span is below at last; in traces of thousands of them, one below the other, as well."""

    def __init__(self) -> None:
        self._above: dict[int, Node] = {}

    def put_below(self, node: Node, parent: Node) -> bool:
        """Put a span that is below nothing below another one, unless it is above that itself."""
        if self._of(parent) is node:
            return False
        self._above[id(node)] = node.parent = parent
        parent.below.append(node)
        return True

    def _of(self, node: Node) -> Node:
        passed = list[Node]()
        while (above := self._above.get(id(node))) is not None:
            passed.append(node)
            node = above
        for each in passed:  # the next one asks at once
            self._above[id(each)] = node
        return node


def _adopt(nodes: Sequence[Node], tops: _Tops) -> None:
    """Put orphans below the request of their process that they were part of, where that can be told.

    Else what is left of a request would be taken for others, beside it.
    """
    servers: defaultdict[Process, list[Node]] = defaultdict(list)
    for node in nodes:
        if isinstance(node.part, Served):
            servers[node.process].append(node)
    ends = {
        process: list(accumulate((n.span.end_ns for n in mine), max)) for process, mine in servers.items()
    }
    for node in nodes:
        if not node.orphan or isinstance(node.part, Served | Hop):
            continue
        mine, latest = servers[node.process], ends.get(node.process, [])
        at = bisect_right(mine, node.span.start_ns, key=lambda server: server.span.start_ns)
        while at and latest[at - 1] >= node.span.start_ns:  # the last of those that were in work then
            at -= 1
            if mine[at].span.end_ns >= node.span.start_ns and tops.put_below(node, mine[at]):
                break
