"""The requests of a trace: who served them, as whom their caller knows them, and what they did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness import contract
from harness.observe.calls import calls_of, rows_of, spans_of
from harness.observe.dialects import http, values
from harness.observe.dialects.entry import is_several
from harness.observe.processes import Group, Process, Processes, group_of, is_told_apart
from harness.observe.tree import Node, Tree
from harness.records.history import JoinedRequest
from harness.records.observed import (
    AfterAnswer,
    Attempt,
    ClientBuild,
    Hop,
    Invocation,
    ModelCall,
    Part,
    Served,
    Stored,
    ToolCall,
)
from harness.records.seen import Attribute, JournalRow, Span, SpanKind
from harness.records.sent import RequestRow

REFUSED = 503
OK = 200
ELSEWHERE_FROM, FAILED_FROM = 300, 400
TRY_AGAIN = {408, 425, 429}
"""Statuses below 500 that are not the caller's fault."""
GIVEN_UP = "given up by who sent it"
"""What became of the work on a request that was sent to another container meanwhile."""
WORK = (Invocation, ModelCall, ToolCall)
_Above = dict[Process, tuple[Node, Node | None]]
"""The outermost span of each process, and that of a request that it serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A request of a service.

    Attributes:
        group: the service.
        joined: the request, as the checks know it.
        is_agents: whether the service worked on it as an agent does.
        orphans: of its spans, those whose parent is not there.
        http: how many HTTP requests of its model calls were seen.
        dialects: that told of it.
        untold: whether no status was told, of HTTP, where one is if an answer was begun.
    """

    group: Group
    joined: JoinedRequest
    is_agents: bool
    orphans: int
    http: int
    dialects: frozenset[str]
    untold: bool = False


def gather(tree: Tree, processes: Processes) -> Iterator[Gathered]:
    """Yield the requests of a trace, by service.

    Args:
        tree: the trace.
        processes: those that were seen so far; new ones are added.
    """
    known: dict[tuple[Group, str], list[Node]] = {}
    places: dict[int, _Above] = {}
    for node in _served(tree.nodes, places):
        key = group_of(node.process), _outermost(node).span.span_id
        known.setdefault(key, []).append(node)
    taken: dict[Group, int] = {}
    for (group, _), servers in known.items():
        for node in servers:
            processes.name(node.process, node.span)
        worked = [node for node in servers if _works(node) or any(map(_works, node.within()))]
        server = _answered(servers, worked)
        near = server or servers[-1]
        asked = [(server, near, _outermost(near))]
        # who sent it gave these up, and asked another one: their work is work, and no answer
        asked += [(node, node, node) for node in worked if node is not server]
        for number, (worker, inner, outer) in enumerate(asked, start=taken.get(group, 0)):
            trace = inner.span.trace_id
            identity = f"{trace}#{number}" if number else trace
            yield _gathered(
                group,
                worker,
                (inner, outer),
                identity,
                processes,
                is_agents=bool(worked),
                left=worker is not server,
                within=_is_within(near, group, places),
            )
        taken[group] = taken.get(group, 0) + len(asked)


def builds(tree: Tree, processes: Processes) -> Iterator[tuple[Group, Span]]:
    """Yield the builds of clients, also those of no request."""
    for node in tree.nodes:
        if isinstance(node.part, ClientBuild):
            told: dict[str, Attribute] = {
                contract.CLIENT_NAME: values.label(node.part.client, "client"),
                contract.CLIENT_INIT_STATE: "reinit" if node.part.again else "cold",
                contract.CLIENT_INIT_REASON: values.label(node.part.reason, "other"),
            }
            container = processes.name(node.process, node.span) if is_told_apart(node.span) else None
            yield (
                group_of(node.process),
                _made(node, container, contract.SPAN_CLIENT_INIT, "internal", told=told),
            )


def _is_within(served: Node, group: Group, known: dict[int, _Above]) -> bool:
    """Whether a request is asked by another one of its service: it is a part of that one's turn."""
    above = _above(served.parent, known) if served.parent is not None else {}
    return any(server is not None and group_of(process) == group for process, (_, server) in above.items())


def _served(nodes: Sequence[Node], known: dict[int, _Above]) -> Iterator[Node]:
    """Yield the outermost span of each request in its process; without a server's, that above the work.

    Args:
        nodes: of a trace.
        known: gets the place of each in it.
    """
    found: dict[int, Node] = {}
    for node in nodes:
        if isinstance(node.part, Hop) or not isinstance(node.part, (Served, *WORK)):
            continue
        above = _above(node, known)
        topmost, server = above[node.process]
        if server is None and len(above) > 1 and node.span.kind == "server":
            continue
        top = server or topmost
        found.setdefault(id(top), top)
    yield from found.values()


def _above(node: Node, known: dict[int, _Above]) -> _Above:
    """Return of a span's place in its trace what is the outermost there of each process.

    Args:
        node: the span.
        known: what is known of others; those above it are added, for a trace may be thousands of spans deep.
    """
    passed, at = list[Node](), node
    while id(at) not in known:
        passed.append(at)
        if at.parent is None:
            break
        at = at.parent
    above = known.get(id(at), {})
    for each in reversed(passed):
        if each.part is None and is_several(each.span):
            known[id(each)] = above  # what is below it are requests
            continue
        topmost, server = above.get(each.process, (each, None))
        if isinstance(each.part, Served) and each.parent is not None and each.parent.process != each.process:
            topmost = server = each  # it is asked again, by one that it asked
        if server is None and isinstance(each.part, Served):
            server = each
        if above.get(each.process) != (topmost, server):
            above = above | {each.process: (topmost, server)}
        known[id(each)] = above
    return above


def _outermost(server: Node) -> Node:
    """Return the span that is a request's farthest from the container: its caller's, or a balancer's.

    What stands above that is what the caller does beside: it may ask for much more.
    """
    outer = server
    for node in server.above():
        if isinstance(node.part, Hop):
            outer = node
        elif node.span.kind == "client" and node.process != server.process:
            return node
        else:
            break
    return outer


def _works(node: Node) -> bool:
    return isinstance(node.part, WORK) or (isinstance(node.part, Attempt) and node.part.of_model)


def _answered(servers: Sequence[Node], worked: Sequence[Node]) -> Node | None:
    """Return which of those that were asked for a request gave its answer; None where none worked on it."""
    done = {id(node) for node in worked}
    # one that is full answers 503 at once, and has done nothing: a balancer asks another one
    able = [node for node in servers if id(node) in done or _status(node) != REFUSED]

    def nearest(node: Node) -> tuple[bool, bool, int]:
        """Who ended when the caller had its answer gave it, and none that went on for long."""
        after_ns = abs(_outermost(node).span.end_ns - node.span.end_ns)
        return id(node) in done, _status(node) == OK, -after_ns

    return max(able, key=nearest, default=None)


def _gathered(
    group: Group,
    server: Node | None,
    ends: tuple[Node, Node],
    identity: str,
    processes: Processes,
    *,
    is_agents: bool,
    left: bool,
    within: bool,
) -> Gathered:
    near, outer = ends
    told_apart = server is not None and is_told_apart(server.span)
    container = processes.name(server.process, server.span) if server is not None and told_apart else None
    spans, journal, http = list[Span](), list[JournalRow](), 0
    if server is not None:
        for call in calls_of(server):
            http += sum(isinstance(node.part, Attempt) for _, node in call.tries)
            spans += spans_of(call, container)
            journal += rows_of(call, identity)
        spans += _others(server, container)
        spans.append(_server(server, container))
    spans += _outside(near, outer, processes)
    parts = [server, *server.within()] if server is not None else [near]
    row = _row(near, outer, identity, group, parts)
    row = replace(row, session_id="") if within else row
    return Gathered(
        group=group,
        joined=JoinedRequest(
            row=replace(row, left=True, error=row.error or GIVEN_UP) if left else row,
            container=container,
            server=None if server is None else _server(server, container),
            spans=tuple(sorted(spans, key=lambda span: span.start_ns)),
            journal=tuple(sorted(journal, key=lambda each: each.time_s)),
        ),
        is_agents=is_agents,
        orphans=sum(node.orphan for node in parts if node is not server),
        http=http,
        dialects=frozenset(node.dialect for node in parts if node.dialect),
        untold=row.error is None and _is_untold(near, outer),
    )


def _row(near: Node, outer: Node, identity: str, group: Group, parts: Sequence[Node]) -> RequestRow:
    status, error = _end_of(near, outer)
    begin_s = outer.span.start_ns / 1e9  # by the clock that its end is by, too
    # what its caller asked wrongly is neither a success nor a failure of whom it asked, nor is a redirect
    at_fault = ELSEWHERE_FROM <= status < 500 and status not in TRY_AGAIN  # noqa: PLR2004 - HTTP's own
    return RequestRow(
        experiment=group[0],
        arm=group[1],
        index=0,
        phase="",
        session_id=_session(parts) or "",
        request_id=near.span.span_id,
        trace_id=identity,
        span_id=outer.span.span_id,
        due_s=begin_s,
        sent_s=begin_s,
        end_s=max(outer.span.end_ns, outer.span.start_ns) / 1e9,
        status=status,
        error=error,
        error_type=None,
        first_token_s=_first_token_s(parts),
        left=at_fault,
    )


def _end_of(near: Node, outer: Node) -> tuple[int, str | None]:
    """Return the status that the caller had, and what went wrong for it."""
    statuses = [_status(node) for node in (outer, near)]
    status = next((each for each in statuses if each is not None), None)
    # a job, or a worker: who sends no kind of request that is known may say all the same that it failed
    told = (near.part.error if near.part is not None else values.error(near.span)) or _broke_off(near)
    if status is None:
        return (OK, None) if told is None else (0, told)
    if status >= FAILED_FROM or not status:
        return status, f"HTTP {status}" if status else "no answer"
    return status, told


def _is_untold(near: Node, outer: Node) -> bool:
    has_method = isinstance(near.part, Served) and values.text(near.span, *http.METHODS) is not None
    return has_method and all(_status(node) is None for node in (near, outer))


def _broke_off(server: Node) -> str | None:
    """Return what the Agent failed of, whose work was the last for a request.

    The head of a stream says that all is well, whatever comes after it. What an Agent merely notes beside its
    work, without saying that it failed, is none.
    """
    # what begins after the answer is out is none of it
    for_it = (node for node in server.topmost(_works) if node.span.start_ns <= server.span.end_ns)
    last = max(for_it, key=lambda node: node.span.end_ns, default=None)
    if last is None or not last.span.error or not isinstance(last.part, Invocation):
        return None
    return last.part.error


def _status(node: Node) -> int | None:
    return node.part.status if isinstance(node.part, Served | Hop | Attempt) else None


def _session(nodes: Sequence[Node]) -> str | None:
    told = (node.part.session for node in nodes if isinstance(node.part, Served | Invocation | ModelCall))
    return next(filter(None, told), None)


def _first_token_s(nodes: Sequence[Node]) -> float | None:
    """Return when the last call that tells of it gave its first token, in Unix seconds: the answer's."""
    told = [
        node.span.start_ns / 1e9 + node.part.first_token_s
        for node in nodes
        if isinstance(node.part, ModelCall) and node.part.first_token_s is not None
    ]
    return max(told, default=None)


def _server(node: Node, container: str | None) -> Span:
    part, told = node.part, dict[str, Attribute]()
    if isinstance(part, Served):
        if part.status is not None:
            told[contract.STATUS_CODE] = part.status
        if part.queued_s:
            told[contract.QUEUE_WAIT_S] = part.queued_s
    return _made(node, container, values.label(node.span.name, "server"), "server", told=told)


def _others(server: Node, container: str | None) -> Iterator[Span]:
    """Yield what else was done for a request in its container."""
    for node in [server, *server.within()]:
        part = node.part
        if isinstance(part, Invocation):
            told: dict[str, Attribute] = {}
            if part.agent_id is not None:
                told[contract.AGENT_ID] = part.agent_id
            if part.waited_s is not None:
                told[contract.CLIENT_STATE] = "cold" if part.waited_s else "warm"
                told[contract.CLIENT_WAIT_S] = part.waited_s
            yield _made(node, container, f"{contract.SPAN_INVOKE_AGENT} agent", "internal", told=told)
        elif isinstance(part, ToolCall):
            told = {contract.OPERATION: contract.SPAN_EXECUTE_TOOL}
            name = f"{contract.SPAN_EXECUTE_TOOL} {values.label(part.tool, 'tool')}"
            yield _made(node, container, name, "internal", told=told)
        elif isinstance(part, Stored):
            name = contract.SPAN_SESSION_SAVE if part.saved else contract.SPAN_SESSION_LOAD
            yield _made(node, container, name, "internal")
        elif isinstance(part, AfterAnswer):
            yield _made(node, container, contract.SPAN_AFTER_ANSWER, "internal")


def _outside(near: Node, outer: Node, processes: Processes) -> Iterator[Span]:
    """Yield the spans between a container and the caller."""
    if outer is near:
        return
    for node in near.above():
        hop = isinstance(node.part, Hop)
        service = contract.SERVICE_ENVOY if hop else contract.SERVICE_LOAD
        name = values.label(node.span.name, node.span.kind)
        yield _made(node, processes.name(node.process, node.span), name, node.span.kind, service=service)
        if node is outer:
            return


def _made(
    node: Node,
    container: str | None,
    name: str,
    kind: SpanKind,
    *,
    told: Mapping[str, Attribute] | None = None,
    service: str | None = None,
) -> Span:
    span = node.span
    part: Part | None = node.part
    return Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=name,
        kind=kind,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        service=service or span.service,
        instance=container,
        error=part.error is not None if part is not None else span.error,
        attributes=told or {},
    )
