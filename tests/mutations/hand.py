"""One arm's records, open to a tampering hand: rows, spans, journal and metrics of the run folder."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from harness import contract
from harness.records.history import ArmData, calls
from harness.records.seen import JournalRow, MetricPoint, Span, SpanEvent
from harness.records.sent import RequestRow

Record = TypeVar("Record", RequestRow, Span, JournalRow, MetricPoint)
Call = Sequence[JournalRow]


def shifted(span: Span, by_ns: int) -> Span:
    """Return a span at another time, as by another clock: it began, ended and noted its events then."""
    return replace(
        span,
        start_ns=span.start_ns + by_ns,
        end_ns=span.end_ns + by_ns,
        events=tuple(replace(event, time_ns=event.time_ns + by_ns) for event in span.events),
    )


class Hand:
    """What was seen of an arm, to be changed in place.

    Args:
        data: as it was recorded; stays as it is.
    """

    def __init__(self, data: ArmData) -> None:
        self.facts = data.facts
        self.rows = list(data.requests)
        self.spans = list(data.spans)
        self.journal = list(data.journal)
        self.metrics = list(data.metrics)

    def data(self) -> ArmData:
        """Return what the run folder would hold now."""
        return ArmData(
            facts=self.facts,
            requests=tuple(self.rows),
            spans=tuple(self.spans),
            journal=tuple(self.journal),
            metrics=tuple(self.metrics),
        )

    # --- looking -----------------------------------------------------------------------
    def ok(self) -> list[RequestRow]:
        """Return the requests that were answered, in order of the plan."""
        return [row for row in self.rows if row.ok]

    def groups(self) -> list[Call]:
        """Return the attempts of each model call, in order."""
        return list(calls(sorted(self.journal, key=lambda row: row.time_s)))

    def calls(self, *decisions: str) -> list[Call]:
        """Return the model calls whose attempts were served this, one after the other."""
        return [call for call in self.groups() if tuple(row.decision for row in call) == decisions]

    def trace(self, row: RequestRow) -> list[Span]:
        """Return the spans of a request."""
        return [span for span in self.spans if span.trace_id == row.trace_id]

    def row_of(self, call: Call) -> RequestRow:
        """Return the request that made a call."""
        return next(row for row in self.rows if row.trace_id == call[0].trace_id)

    def server(self, row: RequestRow) -> Span:
        """Return the agent's server span of a request that was worked on."""
        return max(
            (span for span in self.trace(row) if span.kind == "server" and _is_agents(span)),
            key=lambda span: span.end_ns,
        )

    def attempt(self, row: JournalRow) -> Span:
        """Return the agent's span of an attempt."""
        return next(span for span in self.spans if span.span_id == row.parent_span_id)

    def parent(self, span: Span) -> Span:
        """Return the span above one."""
        return next(each for each in self.spans if each.span_id == span.parent_span_id)

    def below(self, span: Span) -> Iterator[Span]:
        """Yield the spans right below one."""
        return (each for each in self.spans if each.parent_span_id == span.span_id)

    # --- changing ----------------------------------------------------------------------
    def change(self, record: Record, **changes: Any) -> Record:
        """Put a changed record in the place of one."""
        changed = replace(record, **changes)
        kept = self._list_of(record)
        kept[next(at for at, each in enumerate(kept) if each is record)] = changed
        return changed

    def drop(self, record: RequestRow | Span | JournalRow | MetricPoint) -> None:
        """Take a record away."""
        kept = self._list_of(record)
        del kept[next(at for at, each in enumerate(kept) if each is record)]

    def each_span(self, change: Callable[[Span], Span | None]) -> None:
        """Change spans, or take them away where None comes back."""
        self.spans = [changed for span in self.spans if (changed := change(span)) is not None]

    def move(self, span: Span, by_s: float) -> Span:
        """Let a span begin and end at another time."""
        by_ns = round(by_s * 1e9)
        at = shifted(span, by_ns)
        return self.change(span, start_ns=at.start_ns, end_ns=at.end_ns, events=at.events)

    def told_wait_s(self, row: JournalRow) -> float:
        """Return how long the agent says that it waited before an attempt."""
        wait = self._wait_before(self.attempt(row))
        assert wait is not None
        return float(wait.attributes[contract.RETRY_DELAY_S])  # type: ignore[arg-type] # a number, always

    def _wait_before(self, attempt: Span) -> SpanEvent | None:
        waits = [
            event
            for event in self.parent(attempt).events
            if contract.RETRY_DELAY_S in event.attributes and event.time_ns <= attempt.start_ns
        ]
        return max(waits, key=lambda event: event.time_ns, default=None)

    def move_attempt(self, row: JournalRow, by_s: float) -> None:
        """Let an attempt come at another time, for the agent and for the model alike.

        What the agent tells of the wait before it is so much longer, too.
        """
        attempt = self.attempt(row)
        logical, last = self.parent(attempt), self._wait_before(attempt)
        if last is not None:
            told_s = self.told_wait_s(row) + by_s
            waited = replace(last, attributes={**last.attributes, contract.RETRY_DELAY_S: told_s})
            events = tuple(waited if event is last else event for event in logical.events)
            self.change(logical, events=events)
        for span in [attempt, *self.below(attempt)]:
            self.move(span, by_s)
        moved = self.change(row, time_s=row.time_s + by_s, end_s=row.end_s + by_s)
        request = self.row_of([moved])
        if moved.end_s > request.end_s:  # its answer waits for it
            self.ends_later(request, moved.end_s - request.end_s)

    def ends_later(self, row: RequestRow, by_s: float) -> None:
        """Let a caller have its answer later; the agent had done with it at the same time."""
        own = next((span for span in self.spans if span.span_id == row.span_id), None)
        if own is not None:
            self.change(own, end_ns=own.end_ns + round(by_s * 1e9))
        self._ends(row, by_s)

    def lasts_longer(self, row: RequestRow, by_s: float) -> None:
        """Let a request be in work for longer, from its last model call on."""
        server, by_ns = self.server(row), round(by_s * 1e9)
        logical = [each for each in self.trace(row) if contract.RETRY_ATTEMPTS in each.attributes]
        last_ns = max(each.end_ns for each in logical)
        for span in self.trace(row):
            if span.start_ns >= last_ns and span is not server:
                self.move(span, by_s)
            elif span.end_ns >= last_ns:
                self.change(span, end_ns=span.end_ns + by_ns)
        self._ends(row, by_s)

    def _ends(self, row: RequestRow, by_s: float) -> None:
        """Let a caller have its answer later, and the load end when the last has its own."""
        ended = self.change(row, end_s=row.end_s + by_s)
        self.facts = replace(self.facts, end_s=max(self.facts.end_s, ended.end_s))

    def came_earlier(self, row: RequestRow, by_s: float) -> None:
        """Let a request be due earlier, and wait before a container gets it."""
        by_ns = round(by_s * 1e9)
        for span in self.trace(row):
            if span.service == contract.SERVICE_LOAD or span.name == "ingress":
                self.change(span, start_ns=span.start_ns - by_ns)
        self.change(row, due_s=row.due_s - by_s, sent_s=row.sent_s - by_s)

    def fails(self, row: RequestRow, status: int = 500) -> None:
        """Let a request fail for its caller, as its container told."""
        server = self.server(row)
        self.change(server, attributes={**server.attributes, contract.STATUS_CODE: status})
        self.change(row, status=status, error=f"HTTP {status}: it broke", error_type="internal", recalled=())

    def served(self, row: JournalRow, decision: str, fault_class: str, status: int) -> None:
        """Let the model have given an attempt something else than it did."""
        self.change(row, decision=decision, source="fault", fault_class=fault_class, status=status)
        attempt = self.attempt(row)
        for span in [attempt, *self.below(attempt)]:
            told = {**span.attributes, contract.STATUS_CODE: status}
            if contract.SIMULATOR_DECISION in told:
                told[contract.SIMULATOR_DECISION] = decision
            self.change(span, attributes=told)

    def tried(
        self, call: Call, at_s: float, like: JournalRow | None = None, *, known: bool = True
    ) -> JournalRow:
        """Add an attempt to a call: in the journal, and with the spans that it would have.

        Args:
            call: whose attempt it is.
            at_s: when it came (Unix).
            like: what it was served, as that attempt was; the last one by default.
            known: whether the agent's own count has it.
        """
        like = like or call[-1]
        model, sent = self.attempt(like), f"{len(self.spans):016x}"
        logical = self.parent(model)
        lasted_s = min(like.end_s - like.time_s, 0.0002)
        start_ns, end_ns = round(at_s * 1e9), round((at_s + lasted_s) * 1e9)
        self.spans.append(replace(model, span_id=sent, start_ns=start_ns - 20_000, end_ns=end_ns + 20_000))
        for span in list(self.below(model)):
            self.spans.append(
                replace(
                    span,
                    span_id=f"{len(self.spans):016x}",
                    parent_span_id=sent,
                    start_ns=start_ns,
                    end_ns=end_ns,
                )
            )
        self.journal.append(replace(like, time_s=at_s, end_s=at_s + lasted_s, parent_span_id=sent))
        self.number(call[0])
        if known:
            self.count(logical, 1)
        return next(row for row in self.journal if row.parent_span_id == sent)

    def forgotten(self, row: JournalRow) -> None:
        """Take an attempt away, from the journal, the spans and the agent's count."""
        attempt = self.attempt(row)
        self.count(self.parent(attempt), -1)
        for span in [attempt, *self.below(attempt)]:
            self.drop(span)
        self.drop(row)
        self.number(row)

    def count(self, logical: Span, by: int) -> None:
        """Change how many attempts the agent says that a call took."""
        took = logical.attributes[contract.RETRY_ATTEMPTS]
        assert isinstance(took, int)
        self.change(logical, attributes={**logical.attributes, contract.RETRY_ATTEMPTS: took + by})

    def number(self, row: JournalRow) -> None:
        """Number the attempts of a call anew, in order of their arrival."""
        same = [each for each in self.journal if (each.trace_id, each.call_id) == (row.trace_id, row.call_id)]
        for number, each in enumerate(sorted(same, key=lambda each: each.time_s), start=1):
            if each.attempt != number:
                self.change(each, attempt=number)

    def _list_of(self, record: Any) -> list[Any]:
        lists: dict[type, list[Any]] = {
            RequestRow: self.rows,
            Span: self.spans,
            JournalRow: self.journal,
            MetricPoint: self.metrics,
        }
        return lists[type(record)]


def _is_agents(span: Span) -> bool:
    return span.service == contract.SERVICE_AGENT
