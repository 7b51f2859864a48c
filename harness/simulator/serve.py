"""Serves model calls: a bare ASGI application, for it must never be what a run measures."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from harness.records import JournalRow
from harness.simulation import SimulatorConfig
from harness.simulator import answers, openai
from harness.simulator.decide import Call, Decider, Decision
from harness.simulator.faults import REGISTRY
from harness.simulator.faults.effects import Refuse, Reset
from harness.simulator.journal import Journal
from harness.simulator.tracing import CallSpan, Tracing

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Sleep = Callable[[float], Awaitable[None]]

JSON_TYPE = (b"content-type", b"application/json")
SSE_TYPE = (b"content-type", b"text/event-stream; charset=utf-8")
MAX_BODY_BYTES = 8 * 2**20
LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset."""
BAD_REQUEST = REGISTRY["bad_request"].effect


@dataclass(slots=True)
class State:
    """What the control API changes while calls are served."""

    config: SimulatorConfig
    decider: Decider
    start_s: float


class Simulator:
    """The model API.

    Args:
        config: what it is told.
        journal: gets every call.
        tracing: gets a span for every call.
        labels: experiment and arm, for the journal.
        now: Unix time in seconds.
        sleep: waits.
    """

    def __init__(
        self,
        config: SimulatorConfig,
        journal: Journal,
        tracing: Tracing,
        *,
        labels: tuple[str, str] = ("", ""),
        now: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.journal = journal
        self._tracing = tracing
        self._labels = labels
        self._now = now
        self._sleep = sleep
        self.state = State(config, Decider(config, now, now()), now())

    def configure(self, config: SimulatorConfig) -> None:
        """Go on with another configuration; quotas begin anew."""
        self.state = State(config, Decider(config, self._now, self.state.start_s), self.state.start_s)

    def reset(self, start_s: float | None) -> None:
        """Begin a run at Unix time `start_s`, now when None: journal, attempts and quotas anew."""
        self.journal.reset()
        begin_s = self._now() if start_s is None else start_s
        self.state = State(self.state.config, Decider(self.state.config, self._now, begin_s), begin_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one chat completion."""
        arrived_s = self._now()
        headers = dict(scope["headers"])
        body = await _read(receive)
        try:
            request = openai.parse(body)
        except openai.BadRequestError as error:
            await _whole(send, 400, [JSON_TYPE], openai.error(_refusal(str(error))))
            return
        span = self._tracing.start(headers, request.model)
        call = self._call(request, headers, span.trace_id)
        attempt = _Attempt(request, call, self.state.decider.decide(call), span, arrived_s)
        served = _Served(send, scope)
        try:
            await self._play(served, attempt)
        finally:
            self._note(served, attempt)

    def _call(self, request: openai.Request, headers: dict[bytes, bytes], trace_id: str | None) -> Call:
        key = headers.get(b"authorization", b"")
        tool_turns = self.state.config.tool_turns
        return Call(
            protocol=openai.PROTOCOL,
            model=request.model,
            key=hashlib.blake2b(key, digest_size=4).hexdigest(),
            call_id=request.call_id,
            attempt=self.journal.attempt(trace_id, request.call_id),
            tokens=request.tokens,
            tool_call=request.offers_tool and request.tool_results < tool_turns,
        )

    async def _play(self, served: _Served, attempt: _Attempt) -> None:
        decision = attempt.decision
        match decision.effect:
            case Reset():
                served.reset()
            case Refuse() as refuse:
                headers = [
                    JSON_TYPE,
                    *openai.retry_headers(decision.retry_after_s, whole=decision.whole_seconds),
                    *openai.quota_headers(decision.quota),
                ]
                await served.whole(refuse.status, headers, openai.error(refuse))
            case None:
                await self._answer(served, attempt)

    async def _answer(self, served: _Served, attempt: _Attempt) -> None:
        request, decision, tool_call = attempt.request, attempt.decision, attempt.call.tool_call
        count = self.state.config.latency.tokens
        pieces = answers.words(request.call_id, count, request.question, request.texts)
        headers = openai.quota_headers(decision.quota)
        first_s = attempt.arrived_s + decision.ttft_s
        if not request.stream:
            await self._until(first_s + decision.itl_s * (len(pieces) - 1), served)
            body = openai.completion(request, pieces, tool_call=tool_call)
            await served.whole(200, [JSON_TYPE, *headers], body)
            return
        await self._until(first_s, served)
        await served.begin(200, [SSE_TYPE, *headers])
        for number, chunk in enumerate(openai.chunks(request, pieces, tool_call=tool_call)):
            # Due at a time of its own: a late token doesn't delay those after it.
            await self._until(first_s + decision.itl_s * min(number, len(pieces) - 1), served)
            await served.more(chunk)
        await served.end()

    async def _until(self, due_s: float, served: _Served) -> None:
        left_s = due_s - self._now()
        if left_s > 0 and not served.gone:
            await self._sleep(left_s)

    def _note(self, served: _Served, attempt: _Attempt) -> None:
        call, decision, span = attempt.call, attempt.decision, attempt.span
        span.end(decision.kind, served.status, call.attempt)
        self.journal.add(
            JournalRow(
                experiment=self._labels[0],
                arm=self._labels[1],
                time_s=attempt.arrived_s,
                end_s=self._now(),
                connection=served.connection,
                protocol=call.protocol,
                model=call.model,
                stream=attempt.request.stream,
                call_id=call.call_id,
                attempt=call.attempt,
                trace_id=span.trace_id,
                parent_span_id=span.parent_span_id,
                decision=decision.kind,
                source=decision.source,
                fault_class=decision.fault.fault_class if decision.fault else None,
                status=served.status,
                retry_after_s=decision.retry_after_s,
                quota_level=decision.quota.remaining if decision.quota else None,
                service_s=decision.ttft_s + decision.itl_s * (self.state.config.latency.tokens - 1),
                bytes_sent=served.bytes_sent,
                client_gone=served.gone,
            )
        )


@dataclass(frozen=True, slots=True)
class _Attempt:
    request: openai.Request
    call: Call
    decision: Decision
    span: CallSpan
    arrived_s: float


class _Served:
    """One answer on its way, and what became of it."""

    def __init__(self, send: Send, scope: Scope) -> None:
        self._send = send
        state: dict[str, Any] = scope.get("state", {})
        self._transport: asyncio.Transport | None = state.get("transport")
        self._was_reset = False
        self.connection: int = state.get("connection", 0)
        self.status = 0
        self.bytes_sent = 0

    @property
    def gone(self) -> bool:
        """Whether the caller hung up before the end."""
        return self._transport is not None and self._transport.is_closing() and not self._was_reset

    async def whole(self, status: int, headers: openai.Headers, body: bytes) -> None:
        """Send all at once."""
        self.status = status
        self.bytes_sent = len(body)
        await _whole(self._send, status, headers, body)

    async def begin(self, status: int, headers: openai.Headers) -> None:
        """Send the head of a stream."""
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def more(self, chunk: bytes) -> None:
        """Send a piece of a stream."""
        self.bytes_sent += len(chunk)
        await self._send({"type": "http.response.body", "body": chunk, "more_body": True})

    async def end(self) -> None:
        """End a stream."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def reset(self) -> None:
        """Reset the connection; nothing was sent."""
        self._was_reset = True
        if self._transport is None:
            raise RuntimeError("a fault needs the connection, and this server doesn't give it")
        raw: socket.socket | None = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self._transport.abort()


async def _read(receive: Receive) -> bytes:
    """Return the body; one that is too long is cut, and then is no JSON."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES or not message.get("more_body", False):
            return bytes(body[:MAX_BODY_BYTES])


async def _whole(send: Send, status: int, headers: openai.Headers, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


def _refusal(message: str) -> Refuse:
    if not isinstance(BAD_REQUEST, Refuse):
        raise TypeError("bad_request must be served as a refusal")
    return Refuse(status=400, code=None, type=BAD_REQUEST.type, message=message)
