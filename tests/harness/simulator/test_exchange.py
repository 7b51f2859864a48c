"""Model calls over a connection of bytes: the shorter way, and when the longer one is taken."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from uvicorn.server import ServerState

from harness.simulator import exchange as module
from harness.simulator.exchange import Exchanges
from harness.simulator.server import server_config
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.asgi import Api
from tests.harness.simulator.wires import body

CHAT = "/v1/chat/completions"


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closing = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class Line:
    """A connection to the simulator; `exchanges` is what gets the bytes."""

    def __init__(self, api: Api) -> None:
        self.transport = Transport()
        config = server_config(api.router)
        config.load()
        self.exchanges = Exchanges(config, ServerState(), {})
        self.exchanges.connection_made(self.transport)

    async def send(self, *parts: bytes) -> list[bytes]:
        """Send bytes, and return what was written by the time that all is quiet."""
        begun = len(self.transport.written)
        for part in parts:
            self.exchanges.data_received(part)
        for _ in range(20):
            await asyncio.sleep(0)
        return self.transport.written[begun:]


def post(content: bytes, path: str = CHAT, head: str = "", version: str = "1.1") -> bytes:
    line = f"POST {path} HTTP/{version}\r\nhost: sim\r\n{head}content-length: {len(content)}\r\n\r\n"
    return line.encode() + content


def over_a_line(work: Callable[[Line], Any], config: SimulatorConfig | None = None) -> Api:
    """Do some work on a connection whose first call is over."""
    api = Api(config)

    async def go() -> None:
        line = Line(api)
        await line.send(post(body("openai", "first")))
        await work(line)
        line.exchanges.connection_lost(None)

    asyncio.run(go())
    assert api.simulator.in_work == 0
    return api


def parsed(answer: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    head, _, content = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return status, dict(line.split(b": ", 1) for line in lines), content


@pytest.mark.parametrize("cut", [0, 30, -3])
def test_a_call_is_answered_in_one_write_however_it_comes(cut: int) -> None:
    async def work(line: Line) -> None:
        sent = post(body("openai", "hello"))
        (answer,) = await line.send(sent[:cut], sent[cut:])
        status, headers, content = parsed(answer)
        assert status == b"HTTP/1.1 200 OK"
        assert int(headers[b"content-length"]) == len(content)
        assert headers[b"content-type"] == b"application/json"
        assert json.loads(content)["choices"][0]["finish_reason"] == "stop"

    assert [row["decision"] for row in over_a_line(work).rows()] == ["ok", "ok"]


def test_a_stream_that_is_due_at_once_is_one_chunk_and_its_end() -> None:
    async def work(line: Line) -> None:
        (answer,) = await line.send(post(body("openai", "hello", stream=True)))
        _, headers, content = parsed(answer)
        assert headers[b"transfer-encoding"] == b"chunked"
        size, _, rest = content.partition(b"\r\n")
        events, end = rest[: int(size, 16)], rest[int(size, 16) :]
        assert events.endswith(b"data: [DONE]\n\n")
        assert end == b"\r\n0\r\n\r\n"

    row = over_a_line(work).rows()[1]
    assert (row["stream"], row["status"]) == (True, 200)
    assert row["bytes_sent"] > 0


def test_calls_sent_together_are_answered_in_their_order() -> None:
    async def work(line: Line) -> None:
        whole = await line.send(post(body("openai", "one")) + post(b"{") + post(body("openai", "two")))
        assert [parsed(answer)[0].split()[1] for answer in whole] == [b"200", b"400", b"200"]

    decisions = [row["decision"] for row in over_a_line(work).rows()]
    assert decisions == ["ok", "ok", "bad_request", "ok"]


def test_a_long_body_is_read_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HIGH_WATER_LIMIT", 100)

    async def work(line: Line) -> None:
        sent = post(body("openai", "x" * 1000))
        (answer,) = await line.send(sent[:400], sent[400:800], sent[800:])
        assert parsed(answer)[0] == b"HTTP/1.1 200 OK"

    over_a_line(work)


def test_a_caller_that_waits_to_be_told_so_is_told_to_send_the_body() -> None:
    async def work(line: Line) -> None:
        sent = post(body("openai", "hello"), head="expect: 100-continue\r\n")
        head, _, content = sent.partition(b"\r\n\r\n")
        assert await line.send(head + b"\r\n\r\n") == [b"HTTP/1.1 100 Continue\r\n\r\n"]
        (answer,) = await line.send(content)
        assert parsed(answer)[0] == b"HTTP/1.1 200 OK"

    over_a_line(work)


@pytest.mark.parametrize(("head", "version"), [("connection: close\r\n", "1.1"), ("", "1.0")])
def test_a_connection_that_is_not_to_be_kept_is_closed_after_the_answer(head: str, version: str) -> None:
    async def work(line: Line) -> None:
        (answer,) = await line.send(post(body("openai", "hello", stream=True), head=head, version=version))
        _, headers, content = parsed(answer)
        assert headers[b"connection"] == b"close"
        assert (headers.get(b"transfer-encoding") == b"chunked") is (version == "1.1")
        assert b"[DONE]" in content
        assert line.transport.closing

    over_a_line(work)


def test_no_answer_follows_bytes_that_are_no_request() -> None:
    async def work(line: Line) -> None:
        first, *more = await line.send(post(body("openai", "hello")) + b"\x00\x01 nonsense\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 400")
        assert more == []
        assert line.transport.closing

    over_a_line(work)


def test_a_caller_who_leaves_before_its_body_is_whole_leaves_nothing_behind() -> None:
    async def work(line: Line) -> None:
        assert await line.send(post(body("openai", "hello"))[:-5]) == []

    assert len(over_a_line(work).rows()) == 1


def test_a_reset_fault_sends_nothing_and_ends_the_connection() -> None:
    async def work(line: Line) -> None:
        assert await line.send(post(body("openai", "hello"))) == []
        assert line.transport.closing

    told = SimulatorConfig.model_validate({"faults": [{"kind": "conn_reset", "every_n": 2}]})
    assert [row["decision"] for row in over_a_line(work, told).rows()] == ["ok", "conn_reset"]


def test_a_status_that_http_has_no_name_for_is_sent_all_the_same() -> None:
    async def work(line: Line) -> None:
        (answer,) = await line.send(post(body("anthropic"), path="/v1/messages"))
        assert parsed(answer)[0].startswith(b"HTTP/1.1 529")

    over_a_line(work, SimulatorConfig.model_validate({"faults": [{"kind": "overloaded", "every_n": 2}]}))


def test_other_paths_take_the_way_of_any_application() -> None:
    async def work(line: Line) -> None:
        written = b"".join(await line.send(b"GET /healthz HTTP/1.1\r\nhost: sim\r\n\r\n"))
        assert parsed(written)[2] == b'{"status": "ready"}'

    over_a_line(work)


class Timers:
    """Stands for a loop's clock and its timers; all else is the loop's own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now_s = 1000.0
        self.armed: list[tuple[float, Callable[[], None]]] = []
        self._loop = loop

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, work: Callable[[], None]) -> Any:
        self.armed.append((delay_s, work))
        return self._loop.call_later(3600, lambda: None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def pass_s(self, seconds: float) -> None:
        """Let time pass up to the last timer, and fire it."""
        self.now_s += seconds
        self.armed[-1][1]()


def test_one_timer_a_connection_closes_it_once_it_was_idle_for_long_enough() -> None:
    async def work(line: Line) -> None:
        timers = line.exchanges.loop = Timers(asyncio.get_running_loop())
        line.exchanges._idle_timer = None
        await line.send(post(body("openai", "one")))
        ((first_s, _),) = timers.armed
        timers.now_s += 50
        await line.send(post(body("openai", "two")))
        assert len(timers.armed) == 1, "a call arms none of its own"
        timers.pass_s(first_s - 50)
        assert not line.transport.closing, "the second call was not long enough ago"
        assert timers.armed[-1][0] == pytest.approx(50.0)
        timers.pass_s(50)
        assert line.transport.closing

    over_a_line(work)


def test_a_connection_with_a_call_in_work_is_not_idle() -> None:
    async def work(line: Line) -> None:
        timers = line.exchanges.loop = Timers(asyncio.get_running_loop())
        line.exchanges._idle_timer = None
        await line.send(post(body("openai", "one")))
        await line.send(post(body("openai", "two"))[:-3])
        timers.pass_s(500)
        assert not line.transport.closing
        await line.send(post(body("openai", "two"))[-3:])

    over_a_line(work)
