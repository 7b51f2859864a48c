import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from reference_agent.contract import BUSY_HEADER, SESSION_HEADER
from reference_agent.sse import COMMENT, HEAD_AFTER_S
from tests.reference_agent.rig import Exchange, Rig, deadlines, rig, run
from tests.reference_agent.wire import chunk, refuses, says, streamed

STREAM = {"accept": "text/event-stream", SESSION_HEADER: "s"}


def test_tokens_come_as_the_model_gives_them(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(
            tmp_path, streamed(chunk({"content": "Hel"}), chunk({"content": "lo"}), None)
        ) as agent:
            exchange = Exchange(agent.app, STREAM).begin()
            await agent.wire.hanging.wait()
            await exchange.until(lambda: len(exchange.items) == 2)
            assert exchange.items == [{"delta": "Hel"}, {"delta": "lo"}]
            exchange.gone.set()
            await exchange.ended()

    run(work())


def test_the_whole_answer_is_the_last_event(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("Hel", "lo")) as agent:
            exchange = Exchange(agent.app, STREAM).begin()
            await exchange.ended()
            head = dict(exchange.sent[0]["headers"])
            assert exchange.status == 200
            assert head[b"content-type"].startswith(b"text/event-stream")
            assert b"content-length" not in head
            assert head[SESSION_HEADER.lower().encode()] == b"s"
            assert exchange.items[-1] == {"result": "Hello", "session_id": "s"}
            assert exchange.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
            assert await agent.turns() == 1
            assert agent.parts.busy.state.in_flight == 0

    run(work())


def test_an_error_before_the_first_token_has_its_own_status(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, refuses(401, "invalid_api_key")) as agent:
            answer = await agent.ask(accept="text/event-stream")
            assert answer.status_code == 502
            assert answer.json()["error_type"] == "invalid_api_key"
            assert answer.headers[SESSION_HEADER] == "s"

    run(work())


def test_an_error_after_it_is_the_last_event_and_nothing_is_retried(tmp_path: Path) -> None:
    async def work() -> None:
        broken = streamed(chunk({"content": "Hel"}), httpx.ReadError("reset"))
        async with rig(tmp_path, broken, says("never")) as agent:
            exchange = Exchange(agent.app, STREAM).begin()
            await exchange.ended()
            assert exchange.status == 200
            assert exchange.items[0] == {"delta": "Hel"}
            assert set(exchange.items[-1]) == {"error", "error_type", "message"}
            assert exchange.items[-1]["error_type"] == "ReadError"
            assert len(agent.wire.requests) == 1
            assert await agent.turns() == 0

    run(work())


def test_before_the_first_token_a_broken_stream_is_tried_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, streamed(httpx.ReadError("reset")), says("ok")) as agent:
            exchange = Exchange(agent.app, STREAM).begin()
            await exchange.ended()
            assert exchange.items == [{"delta": "ok"}, {"result": "ok", "session_id": "s"}]
            assert len(agent.wire.requests) == 2

    run(work())


def test_a_caller_that_hangs_up_while_the_model_is_silent_frees_the_slot(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, streamed(None)) as agent:
            exchange = Exchange(agent.app, STREAM).begin()
            await agent.wire.hanging.wait()
            assert agent.parts.busy.state.in_flight == 1
            exchange.gone.set()
            await exchange.ended()
            assert agent.parts.busy.state.in_flight == 0
            assert exchange.status == 499

    run(work())


def test_a_stream_that_a_leaving_server_gives_up_says_so_in_its_last_event(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, streamed(chunk({"content": "a"}), None)) as agent:
            exchange = Exchange(agent.app, STREAM).begin()
            await agent.wire.hanging.wait()
            await exchange.until(lambda: exchange.items == [{"delta": "a"}])
            assert exchange.task is not None
            exchange.task.cancel()
            await exchange.ended()
            assert [item.get("error_type") for item in exchange.items] == [None, "draining"]
            assert exchange.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
            assert agent.parts.busy.state.in_flight == await agent.turns() == 0

    run(work())


def test_before_its_first_event_it_says_so_by_its_status(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, streamed(None)) as agent:
            exchange = Exchange(agent.app, STREAM).begin()
            await agent.wire.hanging.wait()
            assert exchange.task is not None
            exchange.task.cancel()
            await exchange.ended()
            assert exchange.status == 503
            assert dict(exchange.sent[0]["headers"])[b"retry-after"] == b"1"
            assert agent.parts.busy.state.in_flight == 0

    run(work())


def test_a_stream_is_refused_at_the_limit_like_any_other(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, streamed(None), agent_concurrency_limit=1) as agent:
            first = Exchange(agent.app, STREAM).begin()
            await agent.wire.hanging.wait()
            second = Exchange(agent.app, STREAM).begin()
            await second.ended()
            assert (second.status, dict(second.sent[0]["headers"])[BUSY_HEADER.encode()]) == (503, b"1")
            first.gone.set()
            await first.ended()

    run(work())


def test_a_bad_request_for_a_stream_is_answered_as_one(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            exchange = Exchange(agent.app, STREAM, body=b"no").begin()
            await exchange.ended()
            assert exchange.status == 400
            assert agent.parts.busy.state.in_flight == 0

    run(work())


class Pauses:
    """Sleeps that end when a test says so, and what they were."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await self._over.wait()
        self._over.clear()

    def end(self) -> None:
        self._over.set()


def sent(exchange: Exchange) -> bytes:
    return b"".join(message.get("body", b"") for message in exchange.sent)


def test_a_silent_stream_sends_its_headers_soon_and_comments_now_and_then(tmp_path: Path) -> None:
    pauses = Pauses()

    async def work() -> None:
        async with rig(tmp_path, streamed(None), agent_sse_keepalive_s=15.0) as agent:
            agent.parts.handler._sleep = pauses.sleep
            exchange = Exchange(agent.app, STREAM).begin()
            await agent.wire.hanging.wait()
            assert exchange.status is None  # an error would still have a status of its own
            for number in (1, 2, 3):
                pauses.end()
                await exchange.until(lambda number=number: sent(exchange).count(COMMENT) == number)
            assert exchange.status == 200
            assert exchange.items == []
            exchange.gone.set()
            await exchange.ended()

    run(work())
    assert pauses.asked == [HEAD_AFTER_S, 15.0, 15.0, 15.0]


def test_an_error_after_the_headers_is_an_event_also_when_nothing_was_said(tmp_path: Path) -> None:
    pauses = Pauses()

    async def work() -> None:
        async with rig(tmp_path, streamed(None)) as agent:
            agent.parts.handler._sleep = pauses.sleep
            exchange = Exchange(agent.app, STREAM).begin()
            await agent.wire.hanging.wait()
            pauses.end()
            await exchange.until(lambda: exchange.status == 200)
            assert exchange.task is not None
            exchange.task.cancel()
            await exchange.ended()
            assert [item["error_type"] for item in exchange.items] == ["draining"]

    run(work())


class SlowReader(Exchange):
    """Takes the first event, and then nothing until it is told to."""

    reads: asyncio.Event

    async def _send(self, message: Any) -> None:
        if len(self.sent) >= 2:
            await self.reads.wait()
        await super()._send(message)


def slow_reader(agent: Rig) -> SlowReader:
    exchange = SlowReader(agent.app, STREAM)
    exchange.reads = asyncio.Event()
    return exchange


def test_a_caller_that_reads_slowly_is_told_that_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = deadlines(monkeypatch)

    async def work() -> None:
        async with rig(tmp_path, says("a", "b", "c")) as agent:
            exchange = slow_reader(agent)
            exchange.begin()
            await exchange.until(lambda: len(exchange.sent) == 2)
            await asyncio.sleep(0)
            limits[0].reschedule(asyncio.get_running_loop().time())
            for _ in range(20):
                await asyncio.sleep(0)
            exchange.reads.set()
            await exchange.ended()
            assert [item.get("error_type") for item in exchange.items] == [None, "deadline"]
            assert exchange.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
            assert agent.parts.busy.state.in_flight == await agent.turns() == 0

    run(work())
    assert "request failed: deadline (504)" in caplog.text


def test_a_caller_that_never_reads_keeps_no_slot_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = deadlines(monkeypatch)
    monkeypatch.setattr("reference_agent.invocations.LAST_EVENT_S", 0.0)

    async def work() -> None:
        async with rig(tmp_path, says("a", "b", "c")) as agent:
            exchange = slow_reader(agent)
            exchange.begin()
            await exchange.until(lambda: len(exchange.sent) == 2)
            await asyncio.sleep(0)
            limits[0].reschedule(asyncio.get_running_loop().time())
            await exchange.ended()
            assert agent.parts.busy.state.in_flight == 0

    run(work())


class ReadsNoEnd(Exchange):
    """Takes everything but what ends its answer."""

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await asyncio.Event().wait()
        await super()._send(message)


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
@pytest.mark.parametrize("body", [b'{"prompt": "hi"}', b"no"])
def test_a_caller_that_never_reads_the_end_keeps_no_slot_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accept: str, body: bytes
) -> None:
    monkeypatch.setattr("reference_agent.invocations.LAST_EVENT_S", 0.0)

    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            exchange = ReadsNoEnd(agent.app, {**STREAM, "accept": accept}, body=body)
            exchange.begin()
            await exchange.ended()
            assert agent.parts.busy.state.in_flight == 0

    run(work())
