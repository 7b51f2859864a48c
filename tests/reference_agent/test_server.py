import asyncio
import signal
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from harness.clock import FakeClock
from reference_agent.app import CLOSE_S
from reference_agent.contract import MAX_HEADER_BYTES
from reference_agent.health import Health
from reference_agent.patterns.busy_signal import BusySignal
from reference_agent.server import LAST_ANSWERS_S, BoundedHeaders, DrainingServer
from reference_agent.settings import Settings
from reference_agent.telemetry.providers import FLUSH_S
from tests.reference_agent.rig import run


class Setting:
    """A server that is asked whether to leave, with time in hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.busy = BusySignal(4)
        nothing: Any = None
        self.health = Health(self.busy, nothing, nothing)
        config = uvicorn.Config("none:none", log_config=None)
        self.server = DrainingServer(config, self.health, self.busy, drain_s=30.0, clock=self.clock.monotonic)

    def leaves(self) -> bool:
        leaving: bool = run(self.server.on_tick(1))
        return leaving


def test_it_stays_until_it_is_told_to_leave() -> None:
    setting = Setting()
    setting.clock.advance(1000)
    assert not setting.leaves()
    assert not setting.health.draining


def test_told_to_leave_with_nothing_in_work_it_leaves() -> None:
    setting = Setting()
    setting.server.handle_exit(signal.SIGTERM, None)
    assert setting.health.draining
    assert setting.leaves()


def test_it_leaves_when_its_last_request_is_done() -> None:
    setting = Setting()
    one, two = setting.busy.try_acquire(), setting.busy.try_acquire()
    assert one is not None
    assert two is not None
    setting.server.handle_exit(signal.SIGTERM, None)
    one.release()
    assert not setting.leaves()
    two.release()
    assert setting.leaves()


def test_a_request_that_takes_too_long_is_not_waited_for() -> None:
    setting = Setting()
    assert setting.busy.try_acquire()
    setting.server.handle_exit(signal.SIGTERM, None)
    setting.clock.advance(29.9)
    assert not setting.leaves()
    setting.clock.advance(0.1)
    assert setting.leaves()


@pytest.mark.parametrize(("second", "forced"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_told_twice_it_leaves_at_once(second: int, *, forced: bool) -> None:
    setting = Setting()
    assert setting.busy.try_acquire()
    setting.server.handle_exit(signal.SIGTERM, None)
    setting.server.handle_exit(second, None)
    assert setting.leaves()
    assert setting.server.force_exit is forced


class Protocol(BoundedHeaders):
    """The protocol without its connection."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: Any = []
        self.flow: Any = None
        self.expect_100_continue = False


def test_headers_over_the_limit_are_not_taken_in() -> None:
    protocol = Protocol()
    for _ in range(3):
        protocol.on_header(b"x", b"y" * (MAX_HEADER_BYTES // 4))
    with pytest.raises(ValueError, match="over 32768 bytes"):
        protocol.on_header(b"x", b"y" * (MAX_HEADER_BYTES // 4))


def test_an_address_over_the_limit_is_not_taken_in_either() -> None:
    protocol = Protocol()
    protocol.on_url(b"/" + b"x" * 100)
    with pytest.raises(ValueError, match="address and headers"):
        protocol.on_url(b"x" * MAX_HEADER_BYTES)


BODY = b'{"prompt": "hi"}'
NEXT = b"GET /ping HTTP/1.1\r\nhost: a\r\n\r\n"
WISHES = (
    b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAAAAIAAAABAAMA\r\n",
    b"connection: upgrade\r\nUpgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: aA==\r\n",
    b"connection: upgrade\r\nupgrade: h2c\r\nexpect: 100-continue\r\n",
)
FRAMED = (
    b"content-length: %d\r\n\r\n%b" % (len(BODY), BODY),
    b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY),
)


class Written(asyncio.Transport):
    """A connection's other side."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = b""

    def write(self, data: Any) -> None:
        self.bytes += data

    def pause_reading(self) -> None:
        """Go on."""

    def resume_reading(self) -> None:
        """Go on."""

    def close(self) -> None:
        self.bytes += b"<closed>"

    def is_closing(self) -> bool:
        return b"<closed>" in self.bytes


@pytest.mark.parametrize("framed", FRAMED)
@pytest.mark.parametrize("wish", WISHES)
def test_who_asks_for_another_protocol_is_answered_in_this_one_and_its_body_is_read(
    wish: bytes, framed: bytes
) -> None:
    """However the bytes come in; and the connection serves the next request, too."""
    seen: list[tuple[str, str, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        seen.append((scope["type"], scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    config.load()

    async def served(*pieces: bytes) -> bytes:
        transport = Written()
        protocol = BoundedHeaders(config=config, server_state=ServerState(), app_state={})
        protocol.connection_made(transport)
        for piece in pieces:
            protocol.data_received(piece)
        for _ in range(20):
            await asyncio.sleep(0)
        protocol.connection_lost(None)
        return transport.bytes

    async def work() -> None:
        sent = b"POST /invocations HTTP/1.1\r\nhost: a\r\n" + wish + framed + NEXT
        for split in range(1, len(sent)):
            seen.clear()
            answers = await served(sent[:split], sent[split:])
            assert seen == [("http", "/invocations", BODY), ("http", "/ping", b"")], split
            assert answers.count(b"200 OK") == 2

    run(work())


def test_by_default_all_of_leaving_takes_less_than_docker_gives() -> None:
    assert Settings().agent_drain_s + LAST_ANSWERS_S + CLOSE_S + FLUSH_S < 10.0
