import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.asgi import Api
from tests.harness.simulator.wires import body

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Traced(Api):
    def __init__(self, **config: object) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        super().__init__(SimulatorConfig.model_validate(config), provider=provider)


def test_a_call_is_a_server_span_in_its_callers_trace() -> None:
    api = Traced()
    api.chat(headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    (span,) = api.exporter.get_finished_spans()
    assert span.kind is SpanKind.SERVER
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == PARENT
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": "m",
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 8,
        "agentrig.simulator.decision": "ok",
        "agentrig.simulator.attempt": 1,
        "http.response.status_code": 200,
    }


def test_a_stream_tells_when_its_first_part_was_due() -> None:
    api = Traced(latency={"ttft": {"median_s": 0.25}, "itl": {"median_s": 0.1}})
    api.ask("POST", "/v1/chat/completions", content=body("openai", stream=True))
    (span,) = api.exporter.get_finished_spans()
    assert (span.attributes or {})["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [("overloaded", 503, True), ("auth", 401, False), ("conn_reset", None, True)],
)
def test_a_fault_is_named_and_what_is_the_servers_is_an_error(
    kind: str, status: int | None, *, error: bool
) -> None:
    api = Traced(faults=[{"kind": kind}])
    try:
        api.chat()
    except AssertionError:  # httpx never gets a head after a reset
        assert kind == "conn_reset"
    (span,) = api.exporter.get_finished_spans()
    told = span.attributes or {}
    assert (told["error.type"], told.get("http.response.status_code")) == (kind, status)
    assert (span.status.status_code is StatusCode.ERROR) is error


def test_no_words_of_the_conversation_are_in_a_span() -> None:
    api = Traced()
    api.chat("xylophone", headers={"authorization": "Bearer sk-xylophone"})
    (span,) = api.exporter.get_finished_spans()
    assert "xylophone" not in span.to_json()


def test_a_trace_that_is_not_sampled_stays_so_and_is_in_the_journal() -> None:
    api = Traced()
    api.chat(headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert api.exporter.get_finished_spans() == ()
    assert api.rows()[0]["trace_id"] == TRACE


@pytest.mark.parametrize(
    "sent",
    ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{PARENT}-01"],
)
def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(sent: str) -> None:
    api = Traced()
    api.chat(headers={"traceparent": sent})
    (span,) = api.exporter.get_finished_spans()
    assert span.parent is None
    assert api.rows()[0]["trace_id"] is None


def test_ids_in_upper_case_are_the_same_ids() -> None:
    api = Traced()
    api.chat(headers={"traceparent": f"00-{TRACE.upper()}-{PARENT.upper()}-01"})
    (span,) = api.exporter.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == TRACE
    assert (api.rows()[0]["trace_id"], api.rows()[0]["parent_span_id"]) == (TRACE, PARENT)
