"""Every fault of the simulator, met by the whole agent through the providers' own clients."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from harness.simulator.faults import REGISTRY
from harness.simulator_config import FaultRule, SimulatorConfig
from reference_agent.app import build_app, compose
from reference_agent.settings import Settings
from tests.e2e.simulating import Running, running
from tests.e2e.waiting import until
from tests.reference_agent.rig import exporter, named, orphans, run

pytestmark = pytest.mark.e2e

SLOW = {"slow_first_chunk", "slow_stream"}
LASTING = {"stall_before_headers", "stall"} | SLOW
PATIENCE_S = 30.0
"""How long the agent waits for a model that does answer."""


@dataclass(frozen=True)
class Row:
    """What the caller gets for a fault that is always there, and what is tried before."""

    error_type: str | None
    status: int = 503
    attempts: int = 3
    outcome: str = "exhausted"


def tried(openai: str, bedrock: str) -> dict[str, Row]:
    return {"openai": Row(openai), "bedrock": Row(bedrock)}


def final(openai: str, bedrock: str, status: int = 502, bedrock_status: int | None = None) -> dict[str, Row]:
    return {
        "openai": Row(openai, status, 1, "permanent"),
        "bedrock": Row(bedrock, bedrock_status or status, 1, "permanent"),
    }


ANY = {
    "rate_limit_requests": tried("rate_limit_exceeded", "ThrottlingException"),
    "rate_limit_tokens": tried("rate_limit_exceeded", "ThrottlingException"),
    "slow_down": tried("slow_down", "ThrottlingException"),
    "overloaded": tried("overloaded", "ServiceUnavailableException"),
    "server_error": tried("server_error", "InternalServerException"),
    "bad_gateway": tried("http_502", "http_502"),
    "gateway_timeout": tried("http_504", "http_504"),
    "model_not_ready": tried("model_not_ready", "ModelNotReadyException"),
    "model_timeout": tried("request_timeout", "ModelTimeoutException"),
    "conn_reset": tried("APIConnectionError", "ConnectionClosedError"),
    "stall_before_headers": tried("APITimeoutError", "ReadTimeoutError"),
    "quota_exhausted": final("insufficient_quota", "ServiceQuotaExceededException"),
    "daily_quota": final("daily_quota_exhausted", "daily_quota_exhausted"),
    "auth": final("invalid_api_key", "UnrecognizedClientException"),
    "forbidden": final("permission_denied", "AccessDeniedException"),
    "bad_request": final("invalid_value", "ValidationException"),
    "context_length": final("context_length_exceeded", "context_length_exceeded", 413),
    "model_not_found": final("model_not_found", "ResourceNotFoundException"),
    "payload_too_large": final("request_too_large", "RequestEntityTooLargeException", 413),
    "content_filter": final("content_filter", "ValidationException", 422, 502),
    "content_filter_200": final("content_filter", "content_filter", 422),
}
"""Streamed or not, it is the same."""
STREAMED = {
    "body_truncated": tried("RemoteProtocolError", "ProtocolError"),
    "slow_first_chunk": tried("ReadTimeout", "ReadTimeoutError"),
    "slow_stream": tried("ReadTimeout", "ReadTimeoutError"),
    "stall": tried("ReadTimeout", "ReadTimeoutError"),
    "reset": tried("ReadError", "ProtocolError"),
    "eof_clean": tried("malformed_answer", "malformed_answer"),
    "error_event": tried("overloaded", "serviceUnavailableException"),
    "failed_event": tried("rate_limit_exceeded", "throttlingException"),
    "gateway_error_event": tried("server_error", "serviceUnavailableException"),
    "bad_chunk": tried("malformed_answer", "ChecksumMismatch"),
    "invalid_json": tried("malformed_answer", "ChecksumMismatch"),
    "html_body": tried("APIConnectionError", "ChecksumMismatch"),
}
WHOLE = {
    "body_truncated": tried("APIConnectionError", "malformed_answer"),
    "invalid_json": tried("malformed_answer", "malformed_answer"),
    "html_body": tried("APIConnectionError", "malformed_answer"),
}
GOOD = Row(None, 200, 1, "success")
"""What a fault of streams is to an answer in one piece."""


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as started:
        yield started


@pytest.fixture(autouse=True)
def _pretended_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


async def asked(server: Running, folder: Path, **settings: object) -> httpx.Response:
    usual = {
        "openai_base_url": f"{server.url}/v1",
        "openai_api_key": "sk-test",
        "aws_endpoint_url_bedrock_runtime": server.url,
        "agent_session_store": f"sqlite:///{folder / 'sessions.db'}",
        "agent_retry_base_s": 0.0,
        "agent_model_silence_s": PATIENCE_S,
        "agent_deadline_s": 10 * PATIENCE_S,
    }
    app = build_app(compose(Settings.model_validate(usual | settings)))
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://agent") as http,
    ):
        return await http.post("/invocations", json={"prompt": "What is a tail?"}, timeout=None)


@pytest.fixture(scope="module")
def silence_s(server: Running, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long the agent waits for a fault that never answers: far longer than for one that does, here."""
    took_s = []
    for number in range(3):
        server.told(SimulatorConfig())
        begun_s = time.monotonic()
        assert run(asked(server, tmp_path_factory.mktemp(f"agent-{number}"))).status_code == 200
        took_s.append(time.monotonic() - begun_s)
    return max(0.3, 2 * max(took_s))


def journal(server: Running, count: int) -> list[str | None]:
    """Parent spans in the journal, which gets its row a moment after the caller has its answer."""
    until("its rows", lambda: server.simulator.journal.count >= count)
    return [entry.parent_span_id for _, entry in server.simulator.journal.since(0)]


def hexed(spans: list[ReadableSpan]) -> list[str]:
    return [format(span.context.span_id, "016x") for span in spans]


def test_every_fault_has_its_row() -> None:
    assert set(ANY) | set(STREAMED) == set(REGISTRY)
    assert not set(ANY) & (set(STREAMED) | set(WHOLE))


@pytest.mark.parametrize("provider", ["openai", "bedrock"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_what_is_tried_what_the_caller_gets_and_what_the_spans_say(
    server: Running, silence_s: float, tmp_path: Path, kind: str, provider: str, *, stream: bool
) -> None:
    rows = ANY | (STREAMED if stream else WHOLE)
    expected = rows[kind][provider] if kind in rows else GOOD
    retry_after_s = 0.001 if REGISTRY[kind].fault_class == "transient" else None
    lasts = kind in LASTING and expected is not GOOD
    delay_s = 5 * silence_s if kind in SLOW and lasts else None
    rule = FaultRule(kind=kind, retry_after_s=retry_after_s, delay_s=delay_s)
    server.told(SimulatorConfig(faults=(rule,)))
    exporter().clear()

    patience = {"agent_model_silence_s": silence_s} if lasts else {}
    answer = run(
        asked(server, tmp_path, agent_model_provider=provider, agent_model_stream=stream, **patience)
    )

    spans = exporter().get_finished_spans()
    (chat,) = named(spans, "chat ")
    attempts = [span for span in spans if span.name.startswith("POST /") and span.kind is SpanKind.CLIENT]
    assert (answer.status_code, answer.json().get("error_type")) == (expected.status, expected.error_type)
    assert ("retry-after" in answer.headers) == (expected.status == 503)
    assert chat.attributes is not None
    assert chat.attributes["agentrig.retry.outcome"] == expected.outcome
    assert chat.attributes["agentrig.retry.attempts"] == expected.attempts
    assert chat.attributes.get("error.type") == expected.error_type
    assert len(chat.events) == expected.attempts - 1
    assert journal(server, expected.attempts) == hexed(attempts)
    resent = [span.attributes.get("http.request.resend_count") for span in attempts if span.attributes]
    assert resent == [None, 1, 2][: expected.attempts]
    assert not orphans(spans)


@pytest.mark.parametrize("provider", ["openai", "bedrock"])
@pytest.mark.parametrize("kind", ["rate_limit_requests", "conn_reset", "eof_clean", "html_body"])
def test_a_fault_that_passes_is_survived(server: Running, tmp_path: Path, kind: str, provider: str) -> None:
    rule = FaultRule(kind=kind, times=2, retry_after_s=0.001 if kind == "rate_limit_requests" else None)
    server.told(SimulatorConfig(faults=(rule,)))
    answer = run(asked(server, tmp_path, agent_model_provider=provider))
    assert answer.status_code == 200
    assert answer.json()["result"]
    assert len(journal(server, 3)) == 3


@pytest.mark.parametrize("provider", ["openai", "bedrock"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_the_first_part_of_a_streamed_answer_is_timed(
    server: Running, tmp_path: Path, provider: str, *, stream: bool
) -> None:
    server.told(SimulatorConfig())
    exporter().clear()
    answer = run(asked(server, tmp_path, agent_model_provider=provider, agent_model_stream=stream))
    assert answer.status_code == 200
    (chat,) = named(exporter().get_finished_spans(), "chat ")
    assert chat.attributes is not None
    assert ("gen_ai.response.time_to_first_chunk" in chat.attributes) == stream
    assert chat.attributes["gen_ai.provider.name"] == {"bedrock": "aws.bedrock"}.get(provider, provider)
