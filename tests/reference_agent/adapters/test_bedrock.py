"""Bedrock's model over boto3's real stack, whose last step (the socket) is replaced."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reference_agent.adapters.attempt_spans import ModelCall, current_call
from reference_agent.adapters.bedrock import StrictBedrockModel
from reference_agent.adapters.errors import MalformedAnswerError
from tests.reference_agent.rig import run

pytestmark = pytest.mark.usefixtures("spans")

ASKED: Any = [{"role": "user", "content": [{"text": "hi"}]}]
GOOD = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
    "metrics": {"latencyMs": 1},
}


class Raw(BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


class Bedrock:
    """Answers in place of the network, and keeps the headers it was sent."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body
        self.headers: list[dict[str, str]] = []

    def __call__(self, request: Any, **_: Any) -> AWSResponse:
        self.headers.append(dict(request.headers.items()))
        raw: Any = Raw(json.dumps(self.body).encode())
        return AWSResponse(request.url, self.status, {"content-type": "application/json"}, raw)


def ask(bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    async def work() -> list[Any]:
        model = StrictBedrockModel(
            model_id="m", streaming=False, endpoint_url="http://127.0.0.1:9", region_name="us-east-1"
        )
        model.client.meta.events.register_last("before-send.bedrock-runtime", bedrock)
        call = trace.get_tracer("test").start_span("chat m")
        current_call.set(ModelCall(call))
        try:
            return [event async for event in model.stream(ASKED)]
        finally:
            call.end()

    got: list[Any] = run(work())
    return got


def test_an_attempt_is_a_span_below_its_call_and_carries_its_context(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    bedrock = Bedrock(200, GOOD)
    assert any("messageStop" in event for event in ask(bedrock, monkeypatch))
    attempt, call = spans.get_finished_spans()
    assert attempt.attributes == {
        "http.request.method": "POST",
        "server.address": "127.0.0.1",
        "server.port": 9,
        "url.path": "/model/m/converse",
        "http.response.status_code": 200,
    }
    assert attempt.parent is not None
    assert attempt.parent.span_id == call.context.span_id
    assert format(attempt.context.span_id, "016x") in bedrock.headers[0]["traceparent"]


def test_a_refused_attempt_says_with_which_status(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Exception, match="ServiceUnavailable"):
        ask(Bedrock(503, {"__type": "ServiceUnavailableException", "message": "later"}), monkeypatch)
    attempt = spans.get_finished_spans()[0]
    assert attempt.attributes is not None
    assert attempt.attributes["http.response.status_code"] == 503
    assert attempt.attributes["error.type"] == "503"


@pytest.mark.parametrize("body", [{}, {"stopReason": "end_turn"}, {"output": GOOD["output"]}])
def test_a_body_that_is_no_answer_is_an_error(
    body: Any, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MalformedAnswerError):
        ask(Bedrock(200, body), monkeypatch)
    attempt = spans.get_finished_spans()[0]
    assert attempt.attributes is not None
    assert attempt.attributes["error.type"] == "MalformedAnswerError"
