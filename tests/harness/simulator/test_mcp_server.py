import asyncio
import json
from typing import Any

import pytest

from harness.clock import FakeClock
from harness.contract import HANDSHAKES_PATH
from harness.simulator.mcp_server import MAX_BODY_BYTES, Handshakes, WholeBody
from harness.simulator.tool_server_config import WITH_SESSIONS, WITHOUT_SESSIONS

POST = {"type": "http", "method": "POST", "path": "/mcp"}
INITIALIZE, DISCOVER, LIST = (
    b'{"method": "initialize"}',
    b'{"jsonrpc": "2.0", "id": 1, "method": "server/discover"}',
    b'{"method": "tools/list"}',
)


class Served:
    """The layers in front of the MCP server, on a clock that moves when it waits."""

    def __init__(self, protocol: str | None = None) -> None:
        self.clock = FakeClock()
        self.got: list[bytes] = []
        self.app = WholeBody(Handshakes(self._app, 0.2, self._sleep, protocol=protocol))

    async def _app(self, _: Any, receive: Any, __: Any) -> None:
        self.got.append((await receive())["body"])

    async def _sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    def ask(self, *parts: bytes, **scope: Any) -> tuple[int | None, bytes]:
        """Return status and body of an answer, None when the server itself got the request."""
        incoming = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        incoming.append({"type": "http.request", "body": b"", "more_body": False})
        sent: list[Any] = []

        async def receive() -> Any:
            return incoming.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.app(POST | scope, receive, send))
        return (sent[0]["status"], sent[1]["body"]) if sent else (None, b"")


@pytest.mark.parametrize(
    ("body", "waited_s"),
    [
        (INITIALIZE, [0.2]),
        (DISCOVER, [0.2]),
        (LIST, []),
        (b"[]", []),
        (b'{"method": ["initialize"]}', []),
    ],
)
def test_the_first_message_of_a_session_waits_and_the_server_still_gets_all(
    body: bytes, waited_s: list[float]
) -> None:
    served = Served()
    assert served.ask(body[:5], body[5:]) == (None, b"")
    assert served.clock.slept == waited_s
    assert served.got == [body]


@pytest.mark.parametrize(
    ("protocol", "opens"),
    [(None, 2), (WITH_SESSIONS, 1), (WITHOUT_SESSIONS, 1)],
    ids=["both", "2025", "2026"],
)
def test_who_asks_for_a_version_that_is_not_spoken_opens_no_session(protocol: str | None, opens: int) -> None:
    served = Served(protocol)
    for body in (DISCOVER, INITIALIZE, LIST):
        served.ask(body)
    assert len(served.clock.slept) == opens
    status, told = served.ask(method="GET", path=HANDSHAKES_PATH)
    assert (status, json.loads(told)) == (200, {"handshakes": opens})


@pytest.mark.parametrize("scope", [{"method": "GET"}, {"type": "lifespan"}])
def test_what_is_no_message_goes_through_as_it_comes(scope: dict[str, Any]) -> None:
    served = Served()
    served.ask(b"any", **scope)
    assert (served.got, served.clock.slept) == ([b"any"], [])


@pytest.mark.parametrize("body", [b"\xff", b"", b"{", b"[" * 100_000, b"x" * (MAX_BODY_BYTES + 1)])
def test_what_is_no_json_or_too_large_never_reaches_the_server(body: bytes) -> None:
    served = Served()
    status, told = served.ask(body)
    assert (status, json.loads(told)["error"]["code"]) == (400, -32700)
    assert served.got == []


def test_the_sessions_that_were_opened_are_counted_and_told() -> None:
    served = Served()
    for body in (INITIALIZE, LIST, DISCOVER):
        served.ask(body)
    _, told = served.ask(method="GET", path="/handshakes")
    assert json.loads(told) == {"handshakes": 2}
    assert served.got == [INITIALIZE, LIST, DISCOVER]
