"""Serves model calls: a bare ASGI application, for it must never be what a run measures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.outside.plugins import PluginError
from harness.records.seen import JournalRow
from harness.simulator import draws
from harness.simulator.call_names import CallName
from harness.simulator.calls import LONGEST_KEY, ModelCall, answer_to, session_and_run
from harness.simulator.delivery import Connection, Delivery, Receive, Scope, Send, Sent
from harness.simulator.fault_choice import CallDecision, Decider
from harness.simulator.faults import bad_request, payload_too_large
from harness.simulator.faults.fault import Refusal
from harness.simulator.installed import WIRES
from harness.simulator.journal import Journal
from harness.simulator.lease import Leases
from harness.simulator.render import reply_to
from harness.simulator.reply import Reply
from harness.simulator.tokens import TokenIssuer
from harness.simulator.tracing import CallSpan, Tracing
from harness.simulator.wire import Wires
from harness.simulator.wire.gemini import Gemini
from harness.simulator.wire.protocol import BadRequestError, ModelAnswer, ModelRequest, Wire
from harness.simulator_config import CANARY, SimulatorConfig

MAX_BODY_BYTES = 8 * 2**20
STOPPED = "stopped"
"""Decision and source of a call whose answer the server's own end cut off."""


def steady_now() -> Callable[[], float]:
    """Return a clock of Unix time in seconds that never goes back, nor jumps."""
    origin_s = time.time() - time.monotonic()
    return lambda: origin_s + time.monotonic()


class ModelSimulator:
    """The model API.

    Args:
        config: what it is told.
        journal: gets every call.
        tracing: gets a span for every call.
        labels: experiment and arm, for the journal.
        now: Unix time in seconds.

    `broken` is told when a protocol or a fault of another package fails: no measurement would follow.
    """

    def __init__(
        self,
        config: SimulatorConfig,
        journal: Journal,
        tracing: Tracing,
        *,
        labels: tuple[str, str] = ("", ""),
        now: Callable[[], float] | None = None,
    ) -> None:
        self.journal = journal
        self.now = now or steady_now()
        self.tokens = TokenIssuer(self.now)
        self.in_work = 0
        self.wires = _wires(config)
        self.broken: Callable[[PluginError], None] = _raised
        self._tracing = tracing
        self._labels = labels
        self._leases = Leases(self.now)
        self._decider = Decider(config, self.now, self.now(), self.tokens.holds)

    @property
    def config(self) -> SimulatorConfig:
        """What it is told now."""
        return self._deciding().config

    @property
    def fired(self) -> tuple[int, ...]:
        """How often each of its fault rules fired, since the last reset or since they were changed."""
        return self._deciding().fired

    def configure(self, config: SimulatorConfig) -> None:
        """Go on with another configuration; quotas begin anew when they are changed. A lease ends with it."""
        self._leases.forget()
        if config.protocols != self.config.protocols:
            self.wires = _wires(config)
        self._decider.change(config)

    def lease(self, name: str, config: SimulatorConfig, seconds: float) -> None:
        """Go on with another configuration for `seconds`, or as long as `name` renews it."""
        self._leases.begin(name, self.config, seconds)
        self._decider.change(config)

    def renew(self, name: str, seconds: float) -> bool:
        """Let the lease of `name` hold for `seconds` from now; return False when it is over."""
        self._deciding()
        return self._leases.renew(name, seconds)

    def end_lease(self, name: str) -> bool:
        """Put back what held before the lease of `name`; return False when it is over."""
        self._deciding()
        own = self._leases.end(name)
        if own is not None:
            self._decider.change(own)
        return own is not None

    def _deciding(self) -> Decider:
        """Return what decides now: whatever is asked or decided first after its end finds a lease over."""
        if (own := self._leases.expired()) is not None:
            self._decider.change(own)
        return self._decider

    def reset(self, start_s: float | None) -> None:
        """Begin a run at Unix time `start_s`, now when None: journal, attempts, quotas and memory anew."""
        self.journal.reset()
        self.wires = _wires(self.config)
        begin_s = self.now() if start_s is None else start_s
        self._decider = Decider(self.config, self.now, begin_s, self.tokens.holds)

    async def serve(self, wire: Wire, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call of a protocol, from its head on."""
        arrived_s = self.now()
        connection: Connection = scope["state"]["connection"]
        self.in_work += 1
        try:
            connected_s = arrived_s
            if not connection.used:
                connection.used = True
                await connection.wait(self._connect_s(connection))
                connected_s = self.now()
            body = await read_body(receive)
            attempt = self.attempt(wire, scope, body, arrived_s, self.in_work - 1)
            attempt.begun_s = connected_s
            await self._play(attempt, connection, send)
        except asyncio.CancelledError:  # the server stops, and has no answer for those who still wait
            await connection.reset()
        finally:
            self.in_work -= 1

    async def deliver(self, attempt: Attempt, connection: Connection, send: Send) -> None:
        """Send the reply to an attempt, each piece when it is due."""
        self.in_work += 1
        try:
            await self._play(attempt, connection, send)
        except asyncio.CancelledError:
            await connection.reset()
        finally:
            self.in_work -= 1

    async def _play(self, attempt: Attempt, connection: Connection, send: Send) -> None:
        delivery = Delivery(send, connection, self.now)
        try:
            await delivery.play(attempt.reply, attempt.begun_s)
        except asyncio.CancelledError:
            attempt.stopped = True
            raise
        finally:
            self.note(attempt, delivery, connection)

    def _connect_s(self, connection: Connection) -> float:
        return draws.duration_s(self.config.latency.connect, self.config.seed, connection.number, "connect")

    def wire_of(self, path: str) -> Wire | None:
        """Return the protocol of a (still quoted) path, None where another package fails at it."""
        try:
            return self.wires.of(path)
        except PluginError as error:
            self.broken(error)
            return None

    def attempt(self, wire: Wire, scope: Scope, body: bytes, arrived_s: float, alongside: int) -> Attempt:
        """Decide what a call gets.

        Args:
            wire: the protocol that it came in.
            scope: ASGI's.
            body: all of it.
            arrived_s: when its head arrived, in Unix time.
            alongside: how many others are in work.

        Raises:
            PluginError: a protocol or a fault of another package failed at it; `broken` has been told.
        """
        try:
            return self._attempt(wire, scope, body, arrived_s, alongside)
        except PluginError as error:
            self.broken(error)
            raise

    def _attempt(self, wire: Wire, scope: Scope, body: bytes, arrived_s: float, alongside: int) -> Attempt:
        headers = dict(scope["headers"])
        refusal: Refusal | None = None
        path = scope["raw_path"].decode("latin-1")
        if isinstance(wire, Gemini):
            wire = wire.asked_by(path, scope["query_string"])
        try:
            request = wire.parse(path, body)
        except BadRequestError as error:
            encoding = headers.get(b"content-encoding", b"identity").decode("latin-1")
            plain = encoding in {"", "identity"}
            said = str(error) if plain else f"the body is encoded ({encoding:.40}), which is not read here"
            refusal = bad_request.FAULT.saying(error, said)
            request = _nothing(body)
        if len(body) > MAX_BODY_BYTES:
            refusal = payload_too_large.FAULT
        span = self._tracing.start(headers, wire.provider, wire.operation, request.model)
        session, run = session_and_run(headers)
        canary = _canary(request.user_texts)
        # A body with the word of a request is of that one, whatever traces its attempts have.
        known = span.parent_span_id is not None and canary is None
        name = self.journal.attempt(span.trace_id if known else None, request.call_id, arrived_s)
        request.call_id = name.name
        call = ModelCall(
            wire=wire,
            request=request,
            key=wire.key(headers)[:LONGEST_KEY],
            attempt=name.attempt,
            lasting=name.lasting,
            session=session,
            run=run,
        )
        answer = answer_to(request, self.config)
        if refusal is not None:
            decision = CallDecision(fault=refusal, source="request")
        else:
            decision = self._deciding().decide(call, answer, alongside + 1)
        if (fault := decision.fault) is not None and fault.fault_class != "slow":
            self.journal.names.failed(name, permanent=fault.fault_class == "permanent")
        reply = reply_to(call, answer, decision, self.now())
        return Attempt(call, answer, decision, reply, span, arrived_s, arrived_s, name, canary)

    def note(self, attempt: Attempt, sent: Sent, connection: Connection) -> None:
        """Write an attempt that is over into the journal, and give back what it didn't use."""
        attempt.decision.settle()
        call, decision, span = attempt.call, attempt.decision, attempt.span
        kind, source = (STOPPED, STOPPED) if attempt.stopped else (decision.kind, decision.source)
        if decision.fault is None or decision.fault.fault_class == "slow":
            if attempt.stopped or sent.caller_left:
                self.journal.names.failed(attempt.name)
            else:
                self.journal.names.answered(attempt.name)
        slow = decision.fault is not None and decision.fault.fault_class == "slow"
        whole = kind == "ok" or (slow and not attempt.stopped and not sent.caller_left)
        first_chunk_s = attempt.reply.head_s if call.request.stream else None
        span.end(kind, sent.status, call.attempt, attempt.answer, first_chunk_s)
        row = JournalRow(
            experiment=self._labels[0],
            arm=self._labels[1],
            time_s=attempt.arrived_s,
            end_s=self.now(),
            connection=connection.number,
            protocol=call.wire.name,
            model=call.request.model,
            stream=call.request.stream,
            call_id=call.request.call_id,
            attempt=call.attempt,
            trace_id=span.trace_id,
            parent_span_id=span.parent_span_id,
            decision=kind,
            source=source,
            fault_class=decision.fault.fault_class if decision.fault else None,
            status=sent.status,
            retry_after_s=decision.retry_after_s,
            quota_level=decision.quota.requests.remaining if decision.quota else None,
            service_s=attempt.reply.over_s,
            bytes_sent=sent.bytes_sent,
            client_gone=sent.caller_left,
            canary=attempt.canary,
            input_tokens=attempt.answer.input_tokens if whole else 0,
            output_tokens=attempt.answer.tokens if whole else 0,
        )
        self.journal.add(row, tokens=row.output_tokens if kind == "ok" else 0)


def _wires(config: SimulatorConfig) -> Wires:
    """Return the protocols: those of other packages that are named, and ours."""
    return Wires(WIRES[name] for name in config.protocols)


def _raised(error: PluginError) -> None:
    raise error


@dataclass(slots=True)
class Attempt:
    """A call, and what it gets.

    Attributes:
        arrived_s: when its head arrived, in Unix time.
        begun_s: when its connection was there; what it gets is due in seconds since then.
        stopped: whether the server stopped before it had all of it.
    """

    call: ModelCall
    answer: ModelAnswer
    decision: CallDecision
    reply: Reply
    span: CallSpan
    arrived_s: float
    begun_s: float
    name: CallName
    canary: str | None
    stopped: bool = False


async def read_body(receive: Receive) -> bytes:
    """Return the body; of one that is too long, a little more than is allowed."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts = bytearray(body)
    while message.get("more_body", False) and len(parts) <= MAX_BODY_BYTES:
        message = await receive()
        parts += message.get("body", b"")
    return bytes(parts)


def _canary(user_texts: Sequence[str]) -> str | None:
    """Return the canary word that the user told last: it tells whose call this is, without a trace."""
    words = CANARY.findall(user_texts[-1]) if user_texts else ()
    return words[-1] if words else None


def _nothing(body: bytes) -> ModelRequest:
    """Return what stands in the journal for a body that is not a valid request."""
    return ModelRequest(
        model="",
        stream=False,
        call_id=draws.call_id("", body.hex()),
        texts=(),
        counts=True,
    )
