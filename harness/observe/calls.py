"""The model calls of a request, and the attempts of each, from the spans below it.

What tells of a call may stand in three layers: the framework that wants an answer, the client of the API, and
its HTTP requests. The outermost is the call; the innermost that are there are its attempts. A framework that
tries again makes a span for each time: one that failed, and the next for the same model beside it, are one
call, where no others of that parent went on meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

from harness import contract
from harness.observe.dialects import values
from harness.observe.tree import Node, grouped_below
from harness.observe.trouble import fault_class
from harness.records.observed import Attempt, ModelCall
from harness.records.seen import Attribute, JournalRow, Span, SpanEvent

LOOPS = "agentrig.observed.loops"
"""On a call's span here: how many retry loops took part in it, one inside the other."""


@dataclass(slots=True, kw_only=True)
class Call:
    """A logical model call.

    Attributes:
        tops: the spans of it that stand side by side: several, where the framework tried again.
        tries: the attempts, in order, each with the number of its top.
    """

    tops: list[Node]
    tries: list[tuple[int, Node]] = field(default_factory=list)

    @property
    def loops(self) -> int:
        """How many retry loops took part: of the framework, and of the client within one of its tries."""
        per_top = [sum(number == top for number, _ in self.tries) for top in range(len(self.tops))]
        return (len(self.tops) > 1) + any(count > 1 for count in per_top)


def calls_of(root: Node) -> Iterator[Call]:
    """Yield the logical model calls below a request."""
    tops = list(root.topmost(lambda node: isinstance(node.part, ModelCall) or _is_model_attempt(node)))
    for siblings in grouped_below(tops).values():
        for group in _merged(siblings):
            yield Call(tops=group, tries=[(n, each) for n, top in enumerate(group) for each in _tries(top)])


def rows_of(call: Call, identity: str) -> Iterator[JournalRow]:
    """Yield a row for each attempt, as the agent tells of it.

    Args:
        call: whose attempts they are.
        identity: of the request.
    """
    for number, (top, node) in enumerate(call.tries, start=1):
        status, error = _end_of(node)
        if node is not call.tops[top] and number == len(call.tries) and error is None:
            status, error = _if_it_broke_later(call.tops[top], status)
        trouble = fault_class(status, error, values.said(node.span))
        yield JournalRow(
            time_s=node.span.start_ns / 1e9,
            end_s=node.span.end_ns / 1e9,
            connection=0,
            protocol=_protocol(call.tops[0], node),
            model=_model(call.tops[0]),
            stream=False,
            call_id=call.tops[0].span.span_id,
            attempt=number,
            trace_id=identity,
            parent_span_id=node.span.span_id,
            decision="ok" if error is None else error,
            source=None if error is None else "fault",
            fault_class=trouble,
            status=200 if status is None and error is None else status or 0,
            retry_after_s=node.part.retry_after_s if isinstance(node.part, Attempt) else None,
        )


def spans_of(call: Call, container: str | None) -> Iterator[Span]:
    """Yield a call and its attempts as our own agent would have told of them."""
    top, last = call.tops[0].span, call.tops[-1].span
    told: dict[str, Attribute] = {contract.OPERATION: "chat", LOOPS: call.loops}
    counts = [node.part.attempts for node in call.tops if isinstance(node.part, ModelCall)]
    known = [count for count in counts if count is not None]
    if known:
        told[contract.RETRY_ATTEMPTS] = sum(known)
    told |= _of_answer(call.tops)
    yield _plain(
        top,
        container,
        name=values.label(top.name, "chat"),
        parent=top.parent_span_id,
        end_ns=last.end_ns,
        told=told,
        events=tuple(
            SpanEvent(
                name=contract.RETRY_EVENT,
                time_ns=pause.time_ns,
                attributes={contract.RETRY_DELAY_S: pause.delay_s},
            )
            for node in call.tops
            if isinstance(node.part, ModelCall)
            for pause in node.part.backoffs
        ),
    )
    for _, node in call.tries:
        if node in call.tops:
            continue  # it is told of already
        status, error = _end_of(node)
        of_http: dict[str, Attribute] = {contract.METHOD: "POST"}
        if status is not None:
            of_http[contract.STATUS_CODE] = status
        if error is not None:
            of_http[contract.ERROR_TYPE] = error
        yield _plain(
            node.span,
            container,
            name=values.label(node.span.name, "attempt"),
            parent=top.span_id,
            end_ns=node.span.end_ns,
            told=of_http,
        )


def _of_answer(tops: Sequence[Node]) -> dict[str, Attribute]:
    """Return what the last try tells of the answer: its first token, since the call began, and its tokens."""
    part = tops[-1].part
    if not isinstance(part, ModelCall):
        return {}
    told: dict[str, Attribute] = {}
    if part.first_token_s is not None:
        begun_s = (tops[-1].span.start_ns - tops[0].span.start_ns) / 1e9
        told[contract.FIRST_CHUNK_S] = begun_s + part.first_token_s
    if part.tokens_in is not None:
        told[contract.TOKENS_IN] = part.tokens_in
    if part.tokens_out is not None:
        told[contract.TOKENS_OUT] = part.tokens_out
    return told


def _plain(
    span: Span,
    container: str | None,
    *,
    name: str,
    parent: str | None,
    end_ns: int,
    told: dict[str, Attribute],
    events: tuple[SpanEvent, ...] = (),
) -> Span:
    return Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=parent,
        name=name,
        kind="client",
        start_ns=span.start_ns,
        end_ns=end_ns,
        service=span.service,
        instance=container,
        error=span.error,
        attributes=told,
        events=events,
    )


def _merged(siblings: Sequence[Node]) -> Iterator[list[Node]]:
    """Group calls that stand side by side: those that are one call, tried again."""
    ranked = sorted(siblings, key=lambda node: node.span.start_ns)
    if any(later.span.start_ns < earlier.span.end_ns for earlier, later in pairwise(ranked)):
        yield from ([node] for node in ranked)
        return
    group: list[Node] = []
    for node in ranked:
        if group and not (_end_of(group[-1])[1] is not None and _target(group[-1]) == _target(node)):
            yield group
            group = []
        group.append(node)
    if group:
        yield group


def _tries(top: Node) -> list[Node]:
    """Return the innermost that tell of the attempts of a call: the HTTP requests, if there are any."""
    http = list(top.topmost(lambda node: isinstance(node.part, Attempt)))
    # a client asks for tokens as well, and for who it is: that is no try of the call
    of_model = [node for node in http if _is_model_attempt(node)]
    if http:
        return sorted(of_model or http, key=lambda node: node.span.start_ns)
    layers = [top, *(node for node in top.within() if isinstance(node.part, ModelCall))]
    outer = {id(above) for node in layers[1:] for above in (top, _call_above(node))}
    return sorted((node for node in layers if id(node) not in outer), key=lambda node: node.span.start_ns)


def _call_above(node: Node) -> Node | None:
    """Return the nearest call that one is part of."""
    return next((each for each in node.above() if isinstance(each.part, ModelCall)), None)


def _is_model_attempt(node: Node) -> bool:
    return isinstance(node.part, Attempt) and node.part.of_model


def _end_of(node: Node) -> tuple[int | None, str | None]:
    """Return the status and the error of what tells of an attempt."""
    part = node.part
    if isinstance(part, Attempt | ModelCall):
        return part.status, part.error
    return None, None


def _if_it_broke_later(top: Node, status: int | None) -> tuple[int | None, str | None]:
    """Return how an attempt ended whose head was fine: its call may have failed while it was read."""
    error = _end_of(top)[1]
    return (None, error) if error is not None else (status, None)


def _target(node: Node) -> tuple[str, str]:
    part = node.part
    if isinstance(part, ModelCall):
        return part.model, ""
    return (part.host, part.path) if isinstance(part, Attempt) else ("", "")


def _model(top: Node) -> str:
    return top.part.model if isinstance(top.part, ModelCall) else ""


PROTOCOLS = (
    ("bedrock", ("bedrock", "converse")),
    ("anthropic", ("anthropic", "claude")),
    ("gemini", ("gemini", "gcp", "google", "vertex")),
    ("azure", ("azure",)),
    ("openai", ("openai", "completions", "responses")),
)
"""The API that is spoken, by words in the provider's name, the host or the path."""


def _protocol(top: Node, node: Node) -> str:
    """Return the API that is spoken, and who is asked: a call that goes on elsewhere is no retry there."""
    told = [top.part.provider] if isinstance(top.part, ModelCall) else []
    asked = [node.part.host, node.part.path] if isinstance(node.part, Attempt) else []
    return " ".join([_api(" ".join([*told, *asked])), *asked[:1]])


@lru_cache(maxsize=4096)
def _api(words: str) -> str:
    lower = words.lower()
    return next((name for name, marks in PROTOCOLS if any(mark in lower for mark in marks)), "")
