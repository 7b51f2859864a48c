"""A history in which everything is wrong, made of spans: production has no control arm.

Before each verdict the same checks are made on it, with the same limits, by the same way from spans to a
verdict. What does not fall short here could not fall short there. It is as large as what was observed, within
`LEAST` and `MOST` requests: no check needs more cases than those have.

Rounds of requests go to one container of four, more than it may work on, while the others have nothing to do.
Each builds its clients, tries what was refused for good as often as what was not, all at the same instants
and before they were told to.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final

from harness import contract
from harness.observe.checks import OBSERVABLE
from harness.observe.limits import Limits
from harness.records.seen import Attribute, Span, SpanEvent, SpanKind

LEAST, MOST = 1_000, 2_000
BEGIN_S: Final = 1_700_000_000.0
OVER: Final = 12
"""Requests of a round that come while the container is full."""
OUTAGE: Final = 130
"""So many more come in the first round, beside three times the slots: they are turned away together."""
MOST_SLOTS: Final = 8
"""Of more slots the rule is the same."""
APART: Final = 4
"""In one round of so many another container has work, too."""
WAITED_S: Final = 0.4
RETRIED_S: Final = 0.2
TOLD_S: Final = 1.0
"""Retry-After, which is not waited for."""
SERVICE: Final = "known-bad"
PATH: Final = "/v1/chat/completions"
MS: Final = 1e3
OK: Final = 200
GIVEN_UP, REFUSED, PERMANENT, ORPHANED, SLOW_LOAD = 3, 40, 9, 8, 12
"""Of so many requests one has this fault."""
NODE_IDS: Final = 2**40


@dataclass(frozen=True, slots=True)
class _Shape:
    """How bad it has to be for the limits to be broken.

    Attributes:
        requests: how many.
        slots: that a container has.
        attempts: of each call.
        lasts_s: how long each request is in work.
        builds: of each client by each request.
        slower: how many times as long the first requests take.
    """

    requests: int
    slots: int
    attempts: int
    lasts_s: float
    builds: int
    slower: float


def spans(limits: Limits, requests: int, slots: int) -> Iterator[Span]:
    """Yield the spans of a history that breaks every check.

    Args:
        limits: those that are to be broken.
        requests: how many were observed.
        slots: requests that one container may work on at once.
    """
    shape = _shape(limits, requests, slots)
    writer, index, number = _Writer(shape), 0, 0
    while index < shape.requests:
        size = shape.slots + OVER + (0 if number else OUTAGE + 3 * shape.slots)
        at_s = BEGIN_S + number * (2 * shape.lasts_s + 2)
        for place in range(size):
            yield from writer.request(index + place, at_s, place, number)
        index, number = index + size, number + 1


def _shape(limits: Limits, requests: int, slots: int) -> _Shape:
    def limit(name: str) -> float:
        return limits.checks.get(name, OBSERVABLE[name].invariant.limit)

    promised_ms = [limits.checks.get(name, 0.0) for name in ("p50", "p95", "p99", "ttft")]
    attempts = max(limit(name) for name in ("attempts-bounded", "amplification", "permanent-once"))
    tried = math.ceil(attempts) + 2
    return _Shape(
        requests=max(LEAST, min(requests, MOST), limits.min_requests),
        slots=slots,
        attempts=tried,
        lasts_s=max(1.0, 2 * max(promised_ms) / MS, tried * RETRIED_S + 0.5),
        builds=math.ceil(limit("init-once")) + 1,
        slower=limit("first-requests") + 1,
    )


class _Writer:
    """Writes the spans of one request after the other."""

    def __init__(self, shape: _Shape) -> None:
        self._shape = shape
        self._ids = count(1)

    def request(self, index: int, at_s: float, place: int, number: int) -> Iterator[Span]:
        """Yield a request: the first of a round find slots, the others come while all are taken."""
        shape = self._shape
        late = place >= shape.slots
        apart = number % APART == 0
        twin = place == 0 and apart  # another turn of the same session, in another container, meanwhile
        sent_s = at_s + (WAITED_S + 0.1 if late else 0.0)
        begin_s = sent_s if apart and not late else sent_s + WAITED_S  # nobody is far away
        end_s = begin_s + shape.lasts_s * (1 if number else shape.slower)
        trace, caller, hop, server = f"{index + 1:032x}", self._id(), self._id(), self._id()
        refused = late and index % REFUSED == 0
        status = 503 if refused else 500 if index % GIVEN_UP == 0 else OK
        if refused:
            end_s = begin_s + 0.001
        where = ("bad-2", "host-2") if twin else ("bad-1", "host-1")
        if place == 1 and apart:  # two that say they are the same
            where = ("bad-2", "host-3")
        told: dict[str, Attribute] = {contract.METHOD: "POST", contract.STATUS_CODE: status}
        yield _span(
            trace, (caller, None), ("POST", "client"), (sent_s, end_s + 0.002), service="caller", told=told
        )
        yield _span(
            trace,
            (hop, caller),
            ("ingress", "server"),
            (sent_s + 0.0001, end_s + 0.001),
            service="envoy",
            told=told,
            resource={"telemetry.sdk.name": "envoy"},
        )
        mine = _Place(trace, *where)
        of_server = told | {"url.path": "/invocations", "session.id": f"session-{number}-{place // 2}"}
        yield mine.span((server, hop), ("POST /invocations", "server"), (begin_s, end_s), of_server)
        if not refused:
            yield from self._work(index, mine, server, begin_s, end_s)

    def _work(self, index: int, mine: _Place, server: str, begin_s: float, end_s: float) -> Iterator[Span]:
        agent = self._id()
        yield from self._builds(mine, server, begin_s)
        slow_s = 0.05 if index % SLOW_LOAD == 0 else 0.001
        yield mine.span(
            (self._id(), server), (contract.SPAN_SESSION_LOAD, "internal"), (begin_s, begin_s + slow_s)
        )
        if index % ORPHANED:  # else it is lost
            shared: dict[str, Attribute] = {contract.AGENT_ID: "one-for-all", contract.CLIENT_STATE: "cold"}
            yield mine.span((agent, server), ("invoke_agent bad", "internal"), (begin_s, end_s), shared)
        yield from self._call(index, mine, agent, begin_s, end_s)
        saved_s = end_s + WAITED_S + 0.1
        yield mine.span(
            (self._id(), server), (contract.SPAN_SESSION_SAVE, "internal"), (saved_s, saved_s + 0.001)
        )

    def _builds(self, mine: _Place, server: str, begin_s: float) -> Iterator[Span]:
        for number in range(self._shape.builds + 1):
            state = "reinit" if number == self._shape.builds else "cold"
            told: dict[str, Attribute] = {contract.CLIENT_NAME: "mcp", contract.CLIENT_INIT_STATE: state}
            yield mine.span(
                (self._id(), server), ("client.init mcp", "internal"), (begin_s, begin_s + 0.001), told
            )

    def _call(self, index: int, mine: _Place, agent: str, begin_s: float, end_s: float) -> Iterator[Span]:
        shape, call = self._shape, self._id()
        permanent, given_up = index % PERMANENT == 0, index % GIVEN_UP == 0
        told: dict[str, Attribute] = {
            contract.OPERATION: "chat",
            contract.RETRY_ATTEMPTS: 1,
            "gen_ai.request.model": "bad",
            contract.FIRST_CHUNK_S: 0.9 * (end_s - begin_s),
        }
        if given_up:
            told[contract.ERROR_TYPE] = "429"
        yield mine.span((call, agent), ("chat bad", "client"), (begin_s, end_s), told, error=given_up)
        for number in range(shape.attempts):
            last = number == shape.attempts - 1
            status = OK if last and not given_up else 400 if permanent else 429
            from_s = begin_s + number * RETRIED_S
            of_http: dict[str, Attribute] = {
                contract.METHOD: "POST",
                contract.STATUS_CODE: status,
                "url.path": PATH,
                "server.address": "model",
            }
            if status != OK:
                of_http["http.response.header.retry-after"] = (str(TOLD_S),)
            ends_s = end_s if last else from_s + 0.01
            yield mine.span(
                (self._id(), call), ("POST", "client"), (from_s, ends_s), of_http, error=status != OK
            )

    def _id(self) -> str:
        return f"{next(self._ids) + NODE_IDS:016x}"


@dataclass(frozen=True, slots=True)
class _Place:
    """A container, in the trace of a request."""

    trace: str
    instance: str
    host: str

    def span(
        self,
        ids: tuple[str, str],
        what: tuple[str, SpanKind],
        at_s: tuple[float, float],
        told: Mapping[str, Attribute] | None = None,
        *,
        error: bool = False,
    ) -> Span:
        """Return a span of it: its id and its parent's, its name and kind, its begin and end."""
        return _span(
            self.trace,
            ids,
            what,
            at_s,
            service=SERVICE,
            told=told or {},
            instance=self.instance,
            resource={"host.name": self.host},
            error=error,
        )


def _span(
    trace: str,
    ids: tuple[str, str | None],
    what: tuple[str, SpanKind],
    at_s: tuple[float, float],
    *,
    service: str,
    told: Mapping[str, Attribute],
    instance: str | None = None,
    resource: Mapping[str, Attribute] | None = None,
    error: bool = False,
) -> Span:
    begin_ns, end_ns = (round(each_s * 1e9) for each_s in at_s)
    waited = SpanEvent(
        name=contract.RETRY_EVENT,
        time_ns=begin_ns + 1,
        attributes={contract.RETRY_DELAY_S: RETRIED_S},
    )
    return Span(
        trace_id=trace,
        span_id=ids[0],
        parent_span_id=ids[1],
        name=what[0],
        kind=what[1],
        start_ns=begin_ns,
        end_ns=end_ns,
        service=service,
        instance=instance,
        error=error,
        attributes=told,
        events=(waited,) if contract.RETRY_ATTEMPTS in told else (),
        resource=resource or {},
    )
