"""A model API that answers by a script, spoken to by the real OpenAI client without a socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

Reply = Callable[[httpx.Request], httpx.Response]


@dataclass
class Wire(httpx.AsyncBaseTransport):
    """Gives its replies in turn, the last one again and again; keeps what was asked."""

    replies: Sequence[Reply]
    requests: list[httpx.Request] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    closed: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        reply = self.replies[min(len(self.requests), len(self.replies) - 1)]
        self.requests.append(request)
        response = reply(request)
        if isinstance(response.stream, Chunks):
            response.stream.hanging = self.hanging
        return response

    async def aclose(self) -> None:
        self.closed += 1

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests]


@dataclass
class Chunks(httpx.AsyncByteStream):
    """A body piece by piece: bytes are sent, an exception is raised, None waits for ever."""

    pieces: Sequence[bytes | Exception | None]
    sent: int = 0
    closed: bool = False
    hanging: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            await asyncio.sleep(0)
            if piece is None:
                self.hanging.set()
                await asyncio.Event().wait()
            elif isinstance(piece, Exception):
                raise piece
            else:
                self.sent += 1
                yield piece

    async def aclose(self) -> None:
        self.closed = True


def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event(
        {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    )


def event(body: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(body)}\n\n".encode()


USAGE = event(
    {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
)
DONE = b"data: [DONE]\n\n"


def streamed(*pieces: bytes | Exception | None) -> Reply:
    return lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Chunks(pieces))


def says(*words: str, finish: str = "stop") -> Reply:
    deltas = [chunk({"content": word}) for word in words]
    return streamed(chunk({"role": "assistant"}), *deltas, chunk({}, finish), USAGE, DONE)


def calls_tool(name: str, arguments: str = "{}") -> Reply:
    call = {"index": 0, "id": "t1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return streamed(chunk({"role": "assistant", "tool_calls": [call]}), chunk({}, "tool_calls"), USAGE, DONE)


def answers(text: str, finish: str | None = "stop") -> Reply:
    """Give the whole answer at once, as when no stream was asked for."""
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }
    return whole(200, json.dumps(body).encode(), {"content-type": "application/json"})


def refuses(status: int, code: str | None = None, message: str = "no", **headers: str) -> Reply:
    body = {"error": {"message": message, "type": code, "code": code}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return whole(status, json.dumps(body).encode(), {"content-type": "application/json", **named})


def whole(status: int, body: bytes, headers: dict[str, str]) -> Reply:
    return lambda _: httpx.Response(status, headers=headers, stream=Chunks([body]))


def breaks(error: Exception) -> Reply:
    def reply(_: httpx.Request) -> httpx.Response:
        raise error

    return reply
