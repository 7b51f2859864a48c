import asyncio
from collections.abc import Sequence

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from reference_agent.adapters.attempt_spans import ModelCall, current_call
from reference_agent.adapters.http import TracedTransport
from tests.reference_agent.rig import run
from tests.reference_agent.wire import (
    DONE,
    Chunks,
    Reply,
    Wire,
    breaks,
    chunk,
    refuses,
    says,
    streamed,
    whole,
)

pytestmark = pytest.mark.usefixtures("spans")


def client(*replies: Reply) -> tuple[httpx.AsyncClient, Wire]:
    wire = Wire(replies)
    return httpx.AsyncClient(transport=TracedTransport(wire), base_url="http://model:81"), wire


def stream_of(pieces: Sequence[bytes | Exception | None]) -> tuple[Reply, Chunks]:
    body = Chunks(pieces)
    return lambda _: httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body), body


async def read_until_done(http: httpx.AsyncClient) -> None:
    """Read as the SDK does: no further than the last event."""
    async with http.stream("POST", "/v1") as response:
        async for line in response.aiter_lines():
            if "[DONE]" in line:
                return


def test_a_stream_is_read_to_its_end_after_the_last_event() -> None:
    reply, body = stream_of([chunk({"content": "a"}), DONE, b"\n", b": the chunk terminator\n"])

    async def work() -> None:
        http, _ = client(reply)
        await read_until_done(http)

    run(work())
    assert body.sent == 4
    assert body.closed


def test_the_last_event_is_known_also_when_it_comes_in_pieces() -> None:
    reply, body = stream_of([b"data: [DO", b"NE]\n\n", b"rest"])

    async def work() -> None:
        http, _ = client(reply)
        await read_until_done(http)

    run(work())
    assert body.sent == 3


def test_a_stream_that_is_given_up_before_its_last_event_is_not_read_on() -> None:
    reply, body = stream_of([chunk({"content": "a"}), chunk({"content": "b"}), DONE])

    async def work() -> None:
        http, _ = client(reply)
        async with http.stream("POST", "/v1") as response:
            await anext(response.aiter_raw())

    run(work())
    assert body.sent == 1
    assert body.closed


def test_words_of_the_model_that_look_like_the_end_are_not_the_end() -> None:
    reply, body = stream_of([chunk({"content": "say [DONE]"}), chunk({"content": "b"})])

    async def work() -> None:
        http, _ = client(reply)
        async with http.stream("POST", "/v1") as response:
            await anext(response.aiter_raw())

    run(work())
    assert body.sent == 1


def test_a_rest_that_does_not_come_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reference_agent.adapters.http.DRAIN_S", 0.0)
    reply, body = stream_of([DONE, None])

    async def work() -> None:
        http, _ = client(reply)
        await read_until_done(http)

    run(work())
    assert body.closed


def test_each_attempt_is_a_span_below_its_call_and_carries_its_context(spans: InMemorySpanExporter) -> None:
    async def work() -> Wire:
        http, wire = client(refuses(503), says("a"))
        call = trace.get_tracer("test").start_span("chat m")
        current_call.set(ModelCall(call))
        await http.post("/v1/chat")
        await http.post("/v1/chat")
        current_call.set(None)
        call.end()
        return wire

    wire = run(work())
    first, second, call = spans.get_finished_spans()
    assert [first.attributes, second.attributes] == [
        {
            "http.request.method": "POST",
            "server.address": "model",
            "server.port": 81,
            "url.path": "/v1/chat",
            "http.response.status_code": 503,
            "error.type": "503",
        },
        {
            "http.request.method": "POST",
            "server.address": "model",
            "server.port": 81,
            "url.path": "/v1/chat",
            "http.request.resend_count": 1,
            "http.response.status_code": 200,
        },
    ]
    assert first.status.status_code is StatusCode.ERROR
    assert first.kind is trace.SpanKind.CLIENT
    for span, request in zip((first, second), wire.requests, strict=True):
        assert span.parent is not None
        assert span.parent.span_id == call.context.span_id
        assert format(span.context.span_id, "016x") in request.headers["traceparent"]


def test_a_request_that_never_got_an_answer_says_why(spans: InMemorySpanExporter) -> None:
    async def work() -> None:
        http, _ = client(breaks(httpx.ConnectError("refused")))
        with pytest.raises(httpx.ConnectError):
            await http.post("/v1")

    run(work())
    (span,) = spans.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ConnectError"
    assert "http.response.status_code" not in span.attributes


def test_a_cancelled_request_ends_its_span(spans: InMemorySpanExporter) -> None:
    async def work() -> None:
        http, wire = client(streamed(None))
        asking = asyncio.create_task(http.post("/v1"))
        await wire.hanging.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    run(work())
    assert len(spans.get_finished_spans()) == 1


def test_the_case_of_a_content_type_says_nothing() -> None:
    async def work() -> None:
        http, _ = client(whole(200, b"{}", {"content-type": "Application/JSON"}))
        assert (await http.post("/v1")).json() == {}

    run(work())


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "text/plain", ""])
def test_a_success_that_no_model_gives_is_an_error(kind: str) -> None:
    async def work() -> None:
        http, _ = client(whole(200, b"<html>", {"content-type": kind}))
        with pytest.raises(httpx.RemoteProtocolError, match="content type is"):
            await http.post("/v1")

    run(work())


def test_an_error_may_be_of_any_kind() -> None:
    async def work() -> int:
        http, _ = client(whole(502, b"<html>", {"content-type": "text/html"}))
        return (await http.post("/v1")).status_code

    assert run(work()) == 502


def test_closing_it_closes_what_is_below() -> None:
    async def work() -> Wire:
        http, wire = client(says("a"))
        await http.aclose()
        return wire

    assert run(work()).closed == 1
