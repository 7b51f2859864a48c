import asyncio
import json
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from typing_extensions import override

from reference_agent.contract import BUSY_HEADER, SESSION_HEADER
from tests.reference_agent.rig import Exchange, MemoryStore, named, one_in_work, rig, run
from tests.reference_agent.wire import chunk, refuses, says, streamed

HANGS = streamed(chunk({"content": "a"}), None)


def test_at_the_limit_it_refuses_at_once_with_nothing_read(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async def work() -> None:
        async with rig(tmp_path, HANGS, agent_concurrency_limit=1) as agent:
            busy = await one_in_work(agent)
            late = Exchange(agent.app, body=None).begin()  # its body never comes
            await late.ended()
            head = dict(late.sent[0]["headers"])
            assert late.status == 503
            assert head[b"retry-after"] == b"1"
            assert head[BUSY_HEADER.encode()] == b"1"
            assert head[b"content-length"] == b"0"
            assert late.sent[1].get("body", b"") == b""
            assert agent.parts.busy.state.rejections == 1
            busy.gone.set()
            await busy.ended()

    run(work())
    told = [
        span.attributes.get("agentrig.busy")
        for span in named(spans.get_finished_spans(), "POST /invocations")
    ]
    assert sorted(told, key=bool) == [None, True]


def test_a_draining_container_takes_nothing_new(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            agent.parts.health.drain()
            refused = await agent.ask()
            assert (refused.status_code, refused.headers[BUSY_HEADER]) == (503, "1")
            assert not agent.wire.requests

    run(work())


def test_a_caller_that_hangs_up_frees_its_slot_and_ends_the_work(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, HANGS, says("ok")) as agent:
            exchange = await one_in_work(agent)
            assert agent.parts.busy.state.in_flight == 1
            exchange.gone.set()
            await exchange.ended()
            assert agent.parts.busy.state.in_flight == 0
            assert await agent.turns() == 0
            assert (await agent.ask()).status_code == 200

    run(work())


def test_a_request_that_a_leaving_server_gives_up_is_told_so(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, HANGS) as agent:
            exchange = await one_in_work(agent)
            assert exchange.task is not None
            exchange.task.cancel()
            await exchange.ended()
            head = dict(exchange.sent[0]["headers"])
            assert (exchange.status, head[b"retry-after"]) == (503, b"1")
            assert BUSY_HEADER.encode() not in head  # it had begun
            assert agent.parts.busy.state.in_flight == await agent.turns() == 0

    run(work())


@pytest.mark.parametrize("headers", [{}, {"accept": "text/event-stream"}])
def test_a_request_whose_body_a_leaving_server_no_longer_awaits_is_sent_elsewhere(
    headers: dict[str, str], tmp_path: Path
) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            exchange = Exchange(agent.app, headers, body=None).begin()
            await exchange.asked.wait()
            assert agent.parts.busy.state.in_flight == 1
            assert exchange.task is not None
            exchange.task.cancel()
            await exchange.ended()
            head = dict(exchange.sent[0]["headers"])
            assert (exchange.status, head[b"retry-after"], head[BUSY_HEADER.encode()]) == (503, b"1", b"1")
            assert json.loads(exchange.sent[1]["body"])["error_type"] == "draining"
            assert agent.parts.busy.state.in_flight == await agent.turns() == 0

    run(work())


def test_a_deletion_that_a_leaving_server_gives_up_is_told_so() -> None:
    deleting = asyncio.Event()

    class Stuck(MemoryStore):
        @override
        async def delete(self, session_id: str) -> None:
            deleting.set()
            await asyncio.Event().wait()

    async def work() -> None:
        async with rig(Path("unused"), says("ok"), store=Stuck(0)) as agent:
            exchange = Exchange(agent.app, method="DELETE", path="/sessions/s").begin()
            await deleting.wait()
            assert exchange.task is not None
            exchange.task.cancel()
            await exchange.ended()
            assert exchange.status == 503
            assert json.loads(exchange.sent[1]["body"])["error_type"] == "draining"

    run(work())


def test_a_failure_carries_identity_and_says_when_to_come_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(
            tmp_path, refuses(429, "rate_limit_exceeded", retry_after="1.2"), agent_retry_max_attempts=1
        ) as agent:
            answer = await agent.ask()
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "2"
            assert answer.headers[SESSION_HEADER] == "s"
            assert BUSY_HEADER not in answer.headers
            assert set(answer.json()) == {"error", "error_type", "message"}

    run(work())


def test_every_request_at_once_is_answered_or_refused_and_no_slot_is_lost(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), agent_concurrency_limit=3) as agent:
            answers: list[httpx.Response] = await asyncio.gather(
                *(agent.ask(session=f"s{n}") for n in range(20))
            )
            codes = [answer.status_code for answer in answers]
            assert set(codes) == {200, 503}
            assert codes.count(200) >= 3
            assert agent.parts.busy.state.rejections == codes.count(503)
            assert agent.parts.busy.state.in_flight == 0

    run(work())
