"""A reply on its way to the caller: the only place that knows a connection."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from harness.simulator.reply import Ending, Reply

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends a reset."""
RESET_GRACE_S = 0.02
"""What was written gets so long to leave before a reset discards it."""
CLOSE_S = 5.0


class Connection:
    """A TCP connection of a caller.

    Args:
        number: from 1 in order of accept.
        transport: what it is written to.
    """

    def __init__(self, number: int, transport: asyncio.Transport) -> None:
        self.number = number
        self.used = False
        self.gone = False
        self._transport = transport
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as the connection is lost."""
        if self.gone or seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(seconds, _wake, self._waiter)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def lost(self) -> None:
        """Take note that it is gone."""
        self.gone = True
        if self._waiter is not None:
            _wake(self._waiter)

    async def close(self) -> None:
        """Close it, what was written sent first."""
        self._transport.close()
        await self.wait(CLOSE_S)

    async def reset(self) -> None:
        """Reset it, where it is not lost by itself: then it has no socket any more."""
        if self.gone:
            return
        raw: socket.socket | None = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self._transport.abort()
        await self.wait(CLOSE_S)


@dataclass(slots=True)
class Sent:
    """What became of a reply.

    Attributes:
        status: of HTTP, 0 when no head was sent.
        bytes_sent: of the body.
        caller_left: whether the caller hung up before the end.
    """

    status: int = 0
    bytes_sent: int = 0
    caller_left: bool = False


class Delivery(Sent):
    """One reply, and what became of it.

    Args:
        send: ASGI's.
        connection: of the caller.
        now: Unix time in seconds.
    """

    def __init__(self, send: Send, connection: Connection, now: Callable[[], float]) -> None:
        super().__init__()
        self._send = send
        self._connection = connection
        self._now = now

    async def play(self, reply: Reply, arrived_s: float) -> None:
        """Send a reply, each piece when it is due: a late one doesn't delay those after it.

        Args:
            reply: what is sent.
            arrived_s: when the call arrived, in Unix time.
        """
        if reply.status:
            await self._until(arrived_s + reply.head_s)
            await self._head(reply)
        steps, at = reply.steps, 0
        while at < len(steps) and not self._connection.gone:
            await self._until(arrived_s + steps[at][0])
            passed_s = self._now() - arrived_s
            begin, at = at, at + 1
            while at < len(steps) and steps[at][0] <= passed_s:  # what is due goes out together
                at += 1
            body = b"".join([piece for _, piece in steps[begin:at]])
            await self._body(body, more=at < len(steps) or reply.ending is not Ending.CLEAN)
        self.caller_left = self._connection.gone
        if not self.caller_left:
            await self._end(reply)

    async def _until(self, due_s: float) -> None:
        left_s = due_s - self._now()
        if left_s > 0:
            await self._connection.wait(left_s)

    async def _head(self, reply: Reply) -> None:
        if self._connection.gone:
            return
        self.status = reply.status
        await self._send(head_of(reply))

    async def _body(self, body: bytes, *, more: bool) -> None:
        if self._connection.gone:
            return
        self.bytes_sent += len(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _end(self, reply: Reply) -> None:
        match reply.ending:
            case Ending.CLEAN if not reply.steps:
                await self._body(b"", more=False)
            case Ending.CLEAN:
                pass
            case Ending.CUT:
                await self._connection.close()
            case Ending.RESET:
                await self._connection.wait(RESET_GRACE_S if reply.status else 0)
                await self._reset()
            case Ending.HANG:
                await self._connection.wait(reply.hang_s)
                await self._reset()

    async def _reset(self) -> None:
        """Reset the connection, where the caller is still there after what was waited for."""
        self.caller_left = self._connection.gone
        if not self.caller_left:
            await self._connection.reset()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def head_of(reply: Reply) -> dict[str, Any]:
    """Return what ASGI is told of a reply's head, and whether it is `joined` with the first piece."""
    return {
        "type": "http.response.start",
        "status": reply.status,
        "headers": reply.headers,
        "length": reply.length,
        "joined": bool(reply.steps) and reply.steps[0][0] <= reply.head_s,
    }
