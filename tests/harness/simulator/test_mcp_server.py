import asyncio
import json
from typing import Any

import pytest

from harness.clock import FakeClock
from harness.simulator.mcp_server import Handshakes, opens_session


@pytest.mark.parametrize(
    ("body", "opens"),
    [
        (b'{"jsonrpc": "2.0", "id": 1, "method": "initialize"}', True),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "server/discover"}', True),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}', False),
        (b"[]", False),
        (b"\xff", False),
        (b"", False),
    ],
)
def test_the_first_message_of_a_session_is_known(body: bytes, *, opens: bool) -> None:
    assert opens_session(body) is opens


@pytest.mark.parametrize(
    ("scope", "body", "waited_s"),
    [
        ({"type": "http", "method": "POST", "path": "/mcp"}, b'{"method": "initialize"}', [0.2]),
        ({"type": "http", "method": "POST", "path": "/mcp"}, b'{"method": "tools/list"}', []),
        ({"type": "http", "method": "GET", "path": "/mcp"}, b"", []),
        ({"type": "lifespan"}, b"", []),
    ],
)
def test_a_handshake_waits_and_the_server_still_gets_all(
    scope: dict[str, Any], body: bytes, waited_s: list[float]
) -> None:
    clock = FakeClock()
    got: list[Any] = []
    messages = [{"body": body, "more_body": True}, {"body": b"rest", "more_body": False}]

    async def app(_: Any, receive: Any, __: Any) -> None:
        got.extend([await receive(), await receive()])

    incoming = iter(messages.copy())

    async def in_order() -> Any:
        return next(incoming)

    async def sleep(seconds: float) -> None:
        clock.sleep(seconds)

    asyncio.run(Handshakes(app, 0.2, sleep)(scope, in_order, in_order))  # type: ignore[arg-type]
    assert clock.slept == waited_s
    assert got == messages


def test_the_sessions_that_were_opened_are_counted_and_told() -> None:
    passed_on: list[Any] = []

    async def app(scope: Any, receive: Any, _: Any) -> None:
        passed_on.append((scope["path"], await receive()))

    async def ask(method: str, path: str, body: bytes = b"") -> bytes:
        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await counting({"type": "http", "method": method, "path": path}, receive, send)
        return b"".join(message.get("body", b"") for message in sent)

    async def no_pause(_: float) -> None:
        pass

    async def work() -> bytes:
        for body in (
            b'{"method": "initialize"}',
            b'{"method": "tools/list"}',
            b'{"method": "server/discover"}',
        ):
            await ask("POST", "/mcp", body)
        return await ask("GET", "/handshakes")

    counting = Handshakes(app, 0.0, no_pause)
    assert json.loads(asyncio.run(work())) == {"handshakes": 2}
    assert len(passed_on) == 3
