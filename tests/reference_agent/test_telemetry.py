import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from reference_agent.patterns.busy_signal import BusySignal
from reference_agent.patterns.client_cache import ClientInit
from reference_agent.redaction import OPT_IN, REDACTED, WithoutWords, redacting
from reference_agent.telemetry import (
    InitRecorder,
    Instruments,
    Telemetry,
    WithoutStrands,
    all_ended,
    views,
)
from tests.reference_agent.rig import SECRET_KEY, Exchange, Tools, named, orphans, rig, run
from tests.reference_agent.wire import Reply, breaks, calls_tool, chunk, refuses, says, streamed

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}
HANGS = streamed(chunk({"content": "a"}), None)


def everything(spans: InMemorySpanExporter) -> str:
    return "".join(span.to_json() for span in spans.get_finished_spans())


def measured(record: Any) -> dict[str, list[tuple[dict[str, Any], Any]]]:
    """Return the points by metric of whatever `record(instruments, meter)` counts."""
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader], views=views()).get_meter("test")
    record(Instruments(meter), meter)
    data: Any = reader.get_metrics_data()
    return {
        metric.name: [
            (dict(point.attributes), getattr(point, "value", getattr(point, "count", None)))
            for point in metric.data.data_points
        ]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_a_turn_is_one_trace_with_every_step_in_its_place(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async def work() -> None:
        async with rig(tmp_path, calls_tool("search"), says("found"), tools=Tools) as agent:
            await agent.ask(**CALLER)

    run(work())
    got = spans.get_finished_spans()
    by_id = {span.context.span_id: span.name for span in got}
    tree = [(span.name, by_id.get(span.parent.span_id) if span.parent else None) for span in got]
    assert sorted(tree, key=str) == sorted(
        [
            ("POST /invocations", None),
            ("session.load", "POST /invocations"),
            ("client.init llm", "POST /invocations"),
            ("client.init mcp", "POST /invocations"),
            ("invoke_agent agentrig", "POST /invocations"),
            ("chat gpt-4o-mini", "invoke_agent agentrig"),
            ("POST", "chat gpt-4o-mini"),
            ("execute_tool search", "invoke_agent agentrig"),
            ("chat gpt-4o-mini", "invoke_agent agentrig"),
            ("POST", "chat gpt-4o-mini"),
            ("session.save", "POST /invocations"),
        ],
        key=str,
    )
    assert {format(span.context.trace_id, "032x") for span in got} == {TRACE_ID}


@pytest.mark.parametrize("path", ["/ping", "/livez", "/readyz", "/metrics"])
def test_asking_how_it_is_leaves_no_trace(path: str, tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            await agent.http.get(path)

    run(work())
    assert not spans.get_finished_spans()


def test_a_path_that_only_contains_such_a_word_is_traced(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            await agent.http.post("http://shopping.example/invocations", json={"prompt": "hi"})

    run(work())
    assert named(spans.get_finished_spans(), "POST /invocations")


@pytest.mark.parametrize(
    "reply",
    [
        says("the canary sings"),
        refuses(400, "invalid_value", message=f"canary in the prompt, with key {SECRET_KEY}"),
        refuses(401, "invalid_api_key", message=f"Incorrect API key provided: {SECRET_KEY}"),
        breaks(RuntimeError("a mistake about the canary")),
    ],
    ids=["success", "refused", "key", "mistake"],
)
def test_neither_prompts_nor_keys_get_into_spans_logs_or_errors(
    tmp_path: Path, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    async def work() -> str:
        async with rig(tmp_path, reply, tools=Tools) as agent:
            answer = await agent.ask("tell of the canary")
            return "" if answer.status_code == 200 else answer.text

    told = run(work())
    for text in (everything(spans), told, "".join(record.getMessage() for record in caplog.records)):
        assert "canary" not in text
        assert SECRET_KEY not in text


def test_exceptions_keep_their_types_and_lose_their_words() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(WithoutWords(SimpleSpanProcessor(exporter)))
    span = provider.get_tracer("t").start_span("work", attributes={"kept": 1})
    span.add_event("other", {"kept": 2})
    span.record_exception(ValueError("a secret"))
    span.set_status(Status(StatusCode.ERROR, "a secret"))
    span.end()
    (got,) = exporter.get_finished_spans()
    assert "a secret" not in got.to_json()
    assert got.status.status_code is StatusCode.ERROR
    assert got.attributes == {"kept": 1}
    assert [(event.name, dict(event.attributes or {})) for event in got.events] == [
        ("other", {"kept": 2}),
        ("exception", {"exception.type": "ValueError", "exception.escaped": "False"}),
    ]
    assert (got.start_time, got.end_time) == (span.start_time, span.end_time)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("opted", "expected"),
    [(None, True), (REDACTED, True), ("http", False), ("http,gen_ai_unredacted_attributes=x", True)],
)
def test_words_are_kept_only_when_somebody_asked_for_them(
    monkeypatch: pytest.MonkeyPatch, opted: str | None, *, expected: bool
) -> None:
    monkeypatch.delenv(OPT_IN, raising=False)
    if opted is not None:
        monkeypatch.setenv(OPT_IN, opted)
    assert redacting() is expected


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
    limits: dict[float, asyncio.Timeout] = {}
    timeout = asyncio.timeout
    monkeypatch.setattr(asyncio, "timeout", lambda s: limits.setdefault(s, timeout(s)))

    async def work() -> None:
        async with rig(tmp_path, HANGS, agent_deadline_s=1234) as agent:
            asking = asyncio.create_task(agent.ask())
            await agent.wire.hanging.wait()
            limits[1234].reschedule(asyncio.get_running_loop().time())  # and the time is over
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

        with all_ended():
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


def test_the_busy_signal_is_read_when_metrics_are_collected() -> None:
    def record(instruments: Instruments, _: Any) -> None:
        busy = BusySignal(2, hook=instruments.busy)
        busy.try_acquire()
        busy.try_acquire()
        busy.try_acquire()

    got = measured(record)
    assert got["agentrig.inflight"] == [({}, 2)]
    assert got["agentrig.inflight.limit"] == [({}, 2)]
    assert got["agentrig.busy"] == [({}, 1)]
    assert got["agentrig.rejections"] == [({}, 1)]


def test_a_build_is_a_span_of_its_own_length_and_a_sample(spans: InMemorySpanExporter) -> None:
    def record(instruments: Instruments, _: Any) -> None:
        hook = InitRecorder(instruments, lambda: 10_000_000_000)
        hook(ClientInit("llm", "cold", "first_use", 2.5))
        hook(ClientInit("mcp", "reinit", "broken", 1.0, ConnectionError("no route")))

    got = measured(record)
    assert got["agentrig.client.init.duration"] == [
        ({"agentrig.client.name": "llm"}, 1),
        ({"agentrig.client.name": "mcp"}, 1),
    ]
    good, bad = spans.get_finished_spans()
    assert (good.name, good.start_time, good.end_time) == ("client.init llm", 7_500_000_000, 10_000_000_000)
    assert bad.status.status_code is StatusCode.ERROR
    assert dict(bad.attributes or {})["error.type"] == "ConnectionError"


def test_what_strands_counts_by_request_is_not_counted() -> None:
    reader = InMemoryMetricReader()
    provider = WithoutStrands(metric_readers=[reader], views=views())
    provider.get_meter("strands.telemetry.metrics").create_counter("strands.cycles").add(1, {"id": "a uuid"})
    provider.get_meter("another").create_counter("other").add(1)
    data: Any = reader.get_metrics_data()
    assert [metric.name for metric in data.resource_metrics[0].scope_metrics[0].metrics] == ["other"]
    assert len(data.resource_metrics[0].scope_metrics) == 1


def test_what_the_in_flight_counter_says_is_not_counted_twice() -> None:
    def record(_: Instruments, meter: Any) -> None:
        meter.create_up_down_counter("http.server.active_requests").add(1)
        meter.create_histogram("http.server.request.duration").record(1)

    assert set(measured(record)) == {"http.server.request.duration"}


@pytest.mark.parametrize(("flag", "expected"), [("00", 0), ("01", 1)])
def test_whether_a_trace_is_kept_is_the_callers_decision(
    flag: str, expected: int, tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            await agent.ask(traceparent=f"00-{TRACE_ID}-b7ad6b7169203331-{flag}")

    run(work())
    assert len(named(spans.get_finished_spans(), "POST /invocations")) == expected
    assert not expected or len(spans.get_finished_spans()) > 5


def test_without_a_caller_it_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    tracer = Telemetry([], []).traces.get_tracer("t")
    assert not tracer.start_span("x").is_recording()
    monkeypatch.delenv("OTEL_TRACES_SAMPLER")
    tracer = Telemetry([], []).traces.get_tracer("t")
    assert tracer.start_span("x").is_recording()


@pytest.mark.parametrize("name", ["chat", "execute_event_loop_cycle"])
def test_what_strands_calls_so_is_left_out_and_its_children_hang_from_what_is_above(name: str) -> None:
    kept = InMemorySpanExporter()
    traces = Telemetry([SimpleSpanProcessor(kept)], []).traces
    strands, ours = traces.get_tracer("strands-agents"), traces.get_tracer("reference_agent")
    with strands.start_as_current_span("invoke_agent") as above:
        with trace.use_span(strands.start_span(name)):
            ours.start_span("child").end()
        ours.start_span(name).end()
    got = {span.name: span for span in kept.get_finished_spans()}
    assert got["child"].parent.span_id == above.get_span_context().span_id
    assert got[name].instrumentation_scope.name == "reference_agent"
    assert len(got) == 3


def test_a_receiver_that_is_gone_does_not_keep_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reference_agent.telemetry.FLUSH_S", 0.0)
    back = threading.Event()

    class Stuck(SpanProcessor):
        def shutdown(self) -> None:
            back.wait()

    Telemetry([Stuck()], []).shutdown()
    assert not back.is_set()
    back.set()


def test_what_is_left_is_handed_in_at_the_end() -> None:
    told: list[str] = []

    class Listening(SpanProcessor):
        def shutdown(self) -> None:
            told.append("spans")

    Telemetry([Listening()], []).shutdown()
    assert told == ["spans"]
