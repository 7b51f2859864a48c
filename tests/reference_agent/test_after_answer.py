"""Work that goes on after the answer, and how the container tells of it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reference_agent.after_answer import QUESTION, in_share
from tests.reference_agent.rig import Exchange, Rig, named, orphans, rig, run
from tests.reference_agent.wire import Reply, chunk, refuses, says, streamed

HANGS = streamed(chunk({"content": "a"}), None)
STREAM = {"accept": "text/event-stream"}


async def status(agent: Rig) -> str:
    return str((await agent.http.get("/ping")).json()["status"])


async def until(seen: Callable[[], bool]) -> None:
    while not seen():  # noqa: ASYNC110 - a slot is given back without an event
        await asyncio.sleep(0)


def test_the_share_is_drawn_from_the_words_alone() -> None:
    words = [f"Question {number}" for number in range(2000)]
    going_on = [each for each in words if in_share(each, 0.3)]
    assert len(going_on) == pytest.approx(600, abs=60)
    assert going_on == [each for each in words if in_share(each, 0.3)]
    assert not any(in_share(each, 0.0) for each in words)
    assert all(in_share(each, 1.0) for each in words)


@pytest.mark.parametrize("headers", [{}, STREAM])
def test_the_answer_is_out_while_the_slot_is_kept(tmp_path: Path, headers: dict[str, str]) -> None:
    async def work() -> None:
        options = {"agent_concurrency_limit": 1, "agent_after_answer_share": 1.0}
        async with rig(tmp_path, says("first"), HANGS, **options) as agent:
            answer = await agent.ask("remember me", **headers)
            assert answer.status_code == 200
            await agent.wire.hanging.wait()
            assert await status(agent) == "HealthyBusy"
            assert agent.parts.busy.state.in_flight == 1
            refused = await agent.ask()
            assert (refused.status_code, refused.headers["x-agent-busy"]) == (503, "1")
            last = agent.wire.bodies[-1]["messages"][-1]
            assert f"{QUESTION} remember me" in str(last["content"])
            assert await agent.turns() == 1

    run(work())


def test_the_slot_is_free_when_the_work_has_ended_and_its_span_says_when(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), agent_after_answer_share=1.0) as agent:
            assert (await agent.ask()).status_code == 200
            await until(lambda: agent.parts.busy.state.in_flight == 0)
            assert len(agent.wire.requests) == 2

    run(work())
    ended = spans.get_finished_spans()
    (after,) = named(ended, "agentrig.after_answer")
    (server,) = named(ended, "POST /invocations")
    assert after.parent is not None
    assert after.parent.span_id == server.context.span_id
    assert after.end_time is not None
    assert server.end_time is not None
    assert after.end_time > server.end_time
    agents = {(span.attributes or {})["agentrig.agent.id"] for span in named(ended, "invoke_agent")}
    assert len(agents) == 2
    assert not orphans(ended)


def test_requests_outside_the_share_give_their_slot_back_with_the_answer(tmp_path: Path) -> None:
    async def work() -> None:
        words = next(f"q{n}" for n in range(100) if not in_share(f"q{n}", 0.5))
        async with rig(tmp_path, says("ok"), agent_after_answer_share=0.5) as agent:
            await agent.ask(words)
            assert agent.parts.busy.state.in_flight == 0
            assert len(agent.wire.requests) == 1

    run(work())


def test_without_an_answer_nothing_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, refuses(400), agent_after_answer_share=1.0) as agent:
            assert (await agent.ask()).status_code >= 400
            assert (await agent.ask(prompt="")).status_code == 400
            assert agent.parts.busy.state.in_flight == 0
            assert len(agent.wire.requests) == 1

    run(work())


def test_work_that_fails_frees_the_slot_and_is_told(
    tmp_path: Path, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), refuses(400), agent_after_answer_share=1.0) as agent:
            assert (await agent.ask()).status_code == 200
            await until(lambda: agent.parts.busy.state.in_flight == 0)

    run(work())
    assert "work after the answer was given up: BadRequestError" in caplog.text
    (after,) = named(spans.get_finished_spans(), "agentrig.after_answer")
    assert (after.attributes or {})["error.type"] == "BadRequestError"


@pytest.mark.parametrize(
    "reply",
    [
        refuses(400),
        streamed(chunk({"content": "a"}), httpx.ReadError("reset")),
        says("", finish="content_filter"),
    ],
    ids=["refused", "broken off", "filtered"],
)
@pytest.mark.parametrize("headers", [{}, STREAM])
def test_no_work_goes_on_after_an_answer_that_failed(
    tmp_path: Path, spans: InMemorySpanExporter, reply: Reply, headers: dict[str, str]
) -> None:
    async def work() -> None:
        options = {"agent_after_answer_share": 1.0, "agent_retry_max_attempts": 1}
        async with rig(tmp_path, reply, says("too late"), **options) as agent:
            await agent.ask(**headers)
            await until(lambda: agent.parts.busy.state.in_flight == 0)
            assert len(agent.wire.requests) == 1

    run(work())
    assert not named(spans.get_finished_spans(), "agentrig.after_answer")


def test_no_work_goes_on_after_a_caller_who_hung_up(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async def work() -> None:
        async with rig(tmp_path, HANGS, says("too late"), agent_after_answer_share=1.0) as agent:
            exchange = Exchange(agent.app, STREAM).begin()
            await agent.wire.hanging.wait()
            exchange.gone.set()
            await exchange.ended()
            await until(lambda: agent.parts.busy.state.in_flight == 0)
            assert len(agent.wire.requests) == 1

    run(work())
    assert not named(spans.get_finished_spans(), "agentrig.after_answer")
