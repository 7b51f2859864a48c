"""What happened in one arm: the client's rows, the spans and the journal, joined.

The analysis makes these records and the judge reads them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from harness import contract
from harness.records.seen import JournalRow, MetricPoint, Span
from harness.records.sent import RequestRow
from harness.records.setup import ArmFacts, Window

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
CallKey = tuple[str | None, str]
"""The request's trace, None for a call of nobody, and the call's own id."""
ROUTING_DELAY_S = 0.010
"""What sending a request to a free container may take. Waits and idleness begin to count after it:
hops and hand-overs take a few milliseconds, and nobody routes badly because of that."""
CLOCKS_TOLD = 2
"""Of clocks that differ, so many are named, those that differ most."""
SPANS_LOST = 0.01
"""Above this share of successes without an agent's span, what the spans say is in doubt. (All of them
without one is an agent that sends none.)"""
NOTICED_S = 0.5
"""Weather that ends by less too soon is as good as whole."""
STORM = "storm"
"""The phase of a load in which more arrives than the model's quota gives: not all can be served."""
MENDABLE = {"transient", "stream", "malformed"}
"""Classes of faults that a retry may mend."""
ENOUGH_RETRIES = {1: 100, 2: 50, 3: 50}
"""Of first, second and third retries. With so many, chance alone puts a fifth of them into 100 ms in less
than one of 1,000 draws, where first ones are spread over 2 s, and later ones over 4 s, as backoffs double."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmData:
    """Everything seen of one arm, before any analysis: what the run folder's files hold."""

    facts: ArmFacts
    requests: tuple[RequestRow, ...]
    spans: tuple[Span, ...]
    journal: tuple[JournalRow, ...]
    metrics: tuple[MetricPoint, ...] = ()


@dataclass(frozen=True, kw_only=True)  # no slots: what dozens of checks ask for is found once, and kept
class JoinedRequest:
    """One request, from all sides.

    Attributes:
        row: what the client saw.
        container: the agent that worked on it, None when none did.
        server: that agent's SERVER span; a refusal before it is not it.
        spans: its whole trace.
        journal: the model calls in its trace, in order of arrival.
    """

    row: RequestRow
    container: str | None
    server: Span | None
    spans: tuple[Span, ...]
    journal: tuple[JournalRow, ...]

    @cached_property
    def queue_wait_s(self) -> float:
        """Seconds that it waited inside the container for a slot."""
        waited = self.server.attributes.get(contract.QUEUE_WAIT_S, 0.0) if self.server else 0.0
        return float(waited) if isinstance(waited, int | float) else 0.0

    @cached_property
    def taken_s(self) -> float | None:
        """When a container began to work on it, in Unix seconds."""
        return None if self.server is None else self.server.start_ns / 1e9 + self.queue_wait_s

    @cached_property
    def after_s(self) -> float:
        """Seconds that the container went on working once its answer was out."""
        if self.server is None:
            return 0.0
        ends_ns = (
            span.end_ns
            for span in self.spans
            if span.name == contract.SPAN_AFTER_ANSWER and span.instance == self.server.instance
        )
        return (max(self.server.end_ns, *ends_ns, 0) - self.server.end_ns) / 1e9

    @property
    def until_answer(self) -> tuple[Span, ...]:
        """Its trace without the work that went on after the answer."""
        after = {span.span_id for span in self.spans if span.name == contract.SPAN_AFTER_ANSWER}
        kept = list[Span]()
        ranked = sorted(self.spans, key=lambda span: span.start_ns)
        for span in ranked if after else ():
            if span.span_id in after or span.parent_span_id in after:
                after.add(span.span_id)
            else:
                kept.append(span)
        return tuple(kept if after else ranked)

    @cached_property
    def done_s(self) -> float | None:
        """When that container had done with it, in Unix seconds: after the answer, where work went on."""
        return None if self.server is None else self.server.end_ns / 1e9 + self.after_s

    @property
    def service_s(self) -> float | None:
        """Seconds of work in the container until its answer, without any wait for a slot."""
        return None if self.server is None else max(0.0, self.server.duration_s - self.queue_wait_s)

    @property
    def held_s(self) -> float | None:
        """Seconds that it held a slot: `service_s`, and the work after the answer."""
        return None if self.service_s is None else self.service_s + self.after_s

    @cached_property
    def model_calls(self) -> tuple[Span, ...]:
        """Its logical model calls, as the agent's spans have them: one each, whatever attempts it took."""
        return tuple(span for span in self.spans if _is_agent_client(span, contract.OPERATION, "chat"))

    @cached_property
    def attempts(self) -> tuple[Span, ...]:
        """The HTTP attempts of its model calls, as the agent's spans have them."""
        logical = {span.span_id for span in self.model_calls}
        return tuple(
            span
            for span in self.spans
            if span.parent_span_id in logical and _is_agent_client(span, contract.METHOD, "POST")
        )

    @cached_property
    def invocations(self) -> tuple[Span, ...]:
        """Its `invoke_agent` spans."""
        return tuple(s for s in self.spans if s.name.startswith(contract.SPAN_INVOKE_AGENT))

    @property
    def wait_s(self) -> float:
        """Seconds from when it was due until a container began to work on it, or until it failed."""
        return (self.row.end_s if self.taken_s is None else self.taken_s) - self.row.due_s

    @property
    def waited_for_init(self) -> bool:
        """Whether it paid or waited for the building of a client."""
        return any(span.attributes.get(contract.CLIENT_STATE) == "cold" for span in self.invocations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Herd:
    """Retries that came back together.

    Attributes:
        first_retries: how many first retries there were in all.
        share: largest share of first, of second or of third retries within `window_s`; None when all of these
            are too few to tell.
        retry: of which retries that is, 1 for the first.
        retries: how many of those there were.
        traces: of those within that window.
        window_s: 100 ms; longer where the waits between attempts are in slow motion.
    """

    first_retries: int
    share: float | None
    retry: int = 1
    retries: int = 0
    traces: tuple[str, ...] = ()
    window_s: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Joins:
    """How well the sources of an arm could be joined.

    Attributes:
        received: model calls since the load began, each attempt counted.
        joined: those of which it is known which request made them.
        ambiguous: calls whose attempts may be those of several calls, of requests that said the same; and
            several that may be one, tried again in other words.
        elsewhere: requests whose server span is of another container than the balancer names.
        misnamed: instance names under which another container answered, or several.
    """

    received: int = 0
    joined: int = 0
    ambiguous: frozenset[CallKey] = frozenset()
    elsewhere: int = 0
    misnamed: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        """Share of the model calls that could be joined, None where there are none."""
        return self.joined / self.received if self.received else None

    def tells_apart(self, row: JournalRow) -> bool:
        """Whether it is known which request made a model call, and that no other one did."""
        return row.trace_id is not None and call_key(row) not in self.ambiguous


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmHistory:
    """Everything that happened in one arm, joined.

    Attributes:
        facts: what was set up.
        requests: in order of the plan.
        unasked: the spans of traces that no request has.
        inits: every `client.init` span, also of these.
        journal: every model call received, in order of arrival.
        strays: those since the load began of which no request is known.
        herd: the retries that came back together.
        pings: what each container's `/ping` said, each time it was asked while the load lasted.
        mute_pings: the times that it was asked and gave no such answer, of those who did before.
        stamps: what it said at the same times of when that had changed.
        gauges: each container's own count of its requests in work, each time it was asked.
        readiness: what each container's `/readyz` said, each time it was asked.
        growth: what each process held, each time it was looked at.
        handshakes: how many sessions were opened at the tool server; None when it was not asked.
        joins: how well all this could be joined.
        impossible: what of all this can't be true, in words; None for nothing.
        clocks: seconds that the clock of a process is ahead of the caller's, at the least, of those whose
            times can't be true otherwise.
    """

    facts: ArmFacts
    requests: tuple[JoinedRequest, ...]
    inits: tuple[Span, ...]
    journal: tuple[JournalRow, ...]
    herd: Herd
    pings: tuple[MetricPoint, ...] = ()
    mute_pings: tuple[MetricPoint, ...] = ()
    stamps: tuple[MetricPoint, ...] = ()
    gauges: tuple[MetricPoint, ...] = ()
    readiness: tuple[MetricPoint, ...] = ()
    growth: tuple[MetricPoint, ...] = ()
    handshakes: int | None = None
    joins: Joins = Joins()
    strays: tuple[JournalRow, ...] = ()
    unasked: tuple[Span, ...] = ()
    impossible: str | None = None
    clocks: Mapping[str, float] = field(default_factory=dict)

    def told_apart(self) -> ArmHistory:
        """Return it with the model calls alone of which it is known whose they are."""
        journal = tuple(row for row in self.journal if self.joins.tells_apart(row))
        if len(journal) == len(self.journal):
            return self
        return replace(
            self,
            requests=tuple(
                replace(each, journal=tuple(row for row in each.journal if self.joins.tells_apart(row)))
                for each in self.requests
            ),
            journal=journal,
        )

    @property
    def told_whole(self) -> tuple[JoinedRequest, ...]:
        """The successes of which each span of their work must be there, as that of the work's end is.

        Left out is what may have been sent again, since a container was killed meanwhile: its work is told of
        by two, of whom one can't, and what was saved already is answered without any.
        """
        return tuple(
            request
            for request in self.requests
            if request.row.ok and request.server is not None and not self.sent_again(request)
        )

    def sent_again(self, request: JoinedRequest) -> bool:
        """Whether a request may have been sent again to another container: one was killed meanwhile."""
        return any(
            event.action == "kill" and request.row.sent_s <= event.time_s <= request.row.end_s
            for event in self.facts.events
        )

    @property
    def clocks_told(self) -> str | None:
        """Say which clocks differ from the caller's, None when none does by more than does no harm."""
        if not self.clocks:
            return None
        ranked = sorted(self.clocks.items(), key=lambda clock: (-abs(clock[1]), clock[0]))
        told = [
            f"{name} is at least {abs(offset_s):.3f} s {'ahead of' if offset_s > 0 else 'behind'} the caller"
            for name, offset_s in ranked[:CLOCKS_TOLD]
        ]
        more = f" and {len(ranked) - CLOCKS_TOLD} more" if len(ranked) > CLOCKS_TOLD else ""
        return f"clocks differ: {', '.join(told)}{more}; set them by one source"

    @property
    def spans_lost(self) -> str | None:
        """Say that the agent's spans of requests are missing where others have theirs, None when none are."""
        good = [request for request in self.requests if request.row.ok]
        # What was killed had spans that it had not sent.
        killed = {event.container for event in self.facts.events if event.action == "kill"}
        unseen = sum(request.server is None and request.container not in killed for request in good)
        seen = any(request.server is not None for request in good)  # else the agent emits none
        if not seen or unseen <= SPANS_LOST * len(good):
            return None
        return (
            f"{unseen} of {len(good)} successes have no span of an agent: spans were lost, or left out by a "
            "sampler; look for export errors in the agents' logs, sample every trace, or lower the rate"
        )

    def _short_weather(self) -> Iterator[Window]:
        """Yield weather that lasted for less of its time within the load than a half."""
        load_s = self.facts.end_s - self.facts.start_s
        for window in self.facts.windows:
            if window.planned_s is None:
                continue
            planned_s = min(window.planned_s, load_s - window.from_s)
            lasted_s = window.to_s - window.from_s
            if lasted_s < planned_s / 2 and planned_s - lasted_s > NOTICED_S:
                yield window

    @property
    def gaps(self) -> str | None:
        """What became of planned arrivals that did not end as one row each, and of weather; None for none."""
        facts = self.facts
        rows = {request.row.index for request in self.requests}
        missing = len(set(range(facts.planned)) - rows)
        surplus = len(self.requests) - (facts.planned - missing)
        said = []
        if facts.dropped:
            said.append(
                f"{facts.dropped} of {facts.planned} requests were not sent: too many were in flight; raise "
                "max_in_flight or lower the rate"
            )
        if (lost := missing - facts.dropped) > 0:
            said.append(
                f"{lost} of {facts.planned} requests have no row: what became of them is not known; see the "
                "load's log, and run it again"
            )
        if surplus > 0:
            said.append(f"{surplus} rows are of no planned request, or of one that has a row; run it again")
        said += map(_cut_short, self._short_weather())
        return "; ".join(said) or None


def _cut_short(window: Window) -> str:
    return (
        f"{window.name} was to last {window.planned_s:.1f} s and lasted {window.to_s - window.from_s:.1f} s: "
        "the run was late; leave the machine to it, and run it again"
    )


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Group items by a key, each group in the order given."""
    groups: dict[K, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def call_key(row: JournalRow) -> CallKey:
    """Return what the attempts of one call have in common once joined: its request, and its body."""
    return row.trace_id, row.call_id


def calls(journal: Iterable[JournalRow]) -> list[list[JournalRow]]:
    """Group the attempts of each logical call, in order of arrival."""
    return list(grouped(journal, call_key).values())


def _is_agent_client(span: Span, attribute: str, value: str) -> bool:
    return span.kind == "client" and span.of_agent and span.attributes.get(attribute) == value
