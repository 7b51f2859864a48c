"""Spans of work that was given up."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reference_agent.telemetry.open_spans import end_open_spans
from tests.reference_agent.rig import Exchange, Tools, deadlines, named, orphans, rig, run
from tests.reference_agent.wire import Reply, calls_tool, chunk, streamed

HANGS = streamed(chunk({"content": "a"}), None)


@pytest.mark.parametrize("headers", [{}, {"accept": "text/event-stream"}], ids=["json", "sse"])
@pytest.mark.parametrize(
    "replies", [(HANGS,), (calls_tool("search"), HANGS)], ids=["first call", "after a tool"]
)
def test_the_spans_of_a_caller_that_hung_up_all_end(
    tmp_path: Path, spans: InMemorySpanExporter, headers: dict[str, str], replies: tuple[Reply, ...]
) -> None:
    async def work() -> None:
        async with rig(tmp_path, *replies, tools=Tools) as agent:
            exchange = Exchange(agent.app, headers).begin()
            await agent.wire.hanging.wait()
            exchange.gone.set()
            await exchange.ended()

    run(work())
    got = spans.get_finished_spans()
    assert not orphans(got)
    assert named(got, "POST /invocations")
    call = named(got, "chat ")[-1]
    assert dict(call.attributes or {})["agentrig.retry.outcome"] == "cancelled"


def test_the_spans_of_a_request_over_its_deadline_all_end(
    tmp_path: Path, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = deadlines(monkeypatch)

    async def work() -> None:
        async with rig(tmp_path, HANGS, agent_deadline_s=1234) as agent:
            asking = asyncio.create_task(agent.ask())
            await agent.wire.hanging.wait()
            limits[0].reschedule(asyncio.get_running_loop().time())  # and the time is over
            assert (await asking).status_code == 504

    run(work())
    assert not orphans(spans.get_finished_spans())
    (call,) = named(spans.get_finished_spans(), "chat ")
    assert dict(call.attributes or {})["agentrig.retry.outcome"] == "deadline"


def test_what_nobody_ended_is_ended_and_what_comes_later_is_left_alone(spans: InMemorySpanExporter) -> None:
    tracer = trace.get_tracer("t")

    async def work() -> Any:
        later = asyncio.Event()

        async def outlives() -> Any:
            await later.wait()
            return tracer.start_span("later")

        with end_open_spans():
            tracer.start_span("forgotten")
            tracer.start_span("ended").end()
            task = asyncio.create_task(outlives())
        later.set()
        return await task

    still_open = run(work())
    assert [(span.name, dict(span.attributes or {})) for span in spans.get_finished_spans()] == [
        ("ended", {}),
        ("forgotten", {"error.type": "cancelled"}),
    ]
    assert still_open.is_recording()
    still_open.end()
