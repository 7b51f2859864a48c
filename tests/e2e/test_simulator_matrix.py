"""Every fault, in every protocol, streamed and not, through the providers' own clients."""

import time
from collections.abc import Iterable, Iterator

import pytest

from harness.simulator.faults import REGISTRY
from harness.simulator.faults.stall_before_headers import STALL_S
from harness.simulator.wire import Wires
from harness.simulator_config import FaultRule, SimulatorConfig
from tests.e2e.model_clients import CALLS, Got
from tests.e2e.simulating import Running, running
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e

TEXTS = {
    "openai": "Those agent question tokens answer warm one keeps",
    "openai-responses": "Queues answer with those or time no warm",
    "azure": "Those agent question tokens answer warm one keeps",
    "azure-responses": "Queues answer with those or time no warm",
    "anthropic": "Queues answer with those or time no warm",
    "bedrock": "The it for one clients its those no",
    "bedrock-invoke": "Queues answer with those or time no warm",
    "gemini": "Tokens no answer traces question answer other may",
}
"""What the model says to the one prompt, which each protocol puts into other messages."""
FIRST_TWO = {name: " ".join(text.split()[:2]) for name, text in TEXTS.items()}
RESPONSES = ("openai-responses", "azure-responses")
ENDS = {
    "openai": "stop",
    "openai-responses": "completed",
    "azure": "stop",
    "azure-responses": "completed",
    "anthropic": "end_turn",
    "bedrock": "end_turn",
    "bedrock-invoke": "end_turn",
    "gemini": "STOP",
}

Row = dict[str, Got]
Told = tuple[str, int | None, str | int | None]


def row(
    of_openai: Told, of_anthropic: Told, of_bedrock: Told, of_gemini: Told, azure: Told | None = None
) -> Row:
    """What the clients of each provider make of it, Azure's the same as OpenAI's unless it is told."""
    of_azure = azure or of_openai
    columns = (of_openai, of_openai, of_azure, of_azure, of_anthropic, of_bedrock, of_bedrock, of_gemini)
    return {name: Got(error=e, status=s, code=c) for name, (e, s, c) in zip(CALLS, columns, strict=True)}


def nameless(*each: str) -> Row:
    of_openai, of_anthropic, of_bedrock, of_gemini = ((name, None, None) for name in each)
    return row(of_openai, of_anthropic, of_bedrock, of_gemini)


def same(protocols: Iterable[str], got: Got) -> Row:
    return dict.fromkeys(protocols, got)


REFUSED = {
    "rate_limit_requests": row(
        ("RateLimitError", 429, "rate_limit_exceeded"),
        ("RateLimitError", 429, "rate_limit_error"),
        ("ThrottlingException", 429, "ThrottlingException"),
        ("ClientError", 429, "RESOURCE_EXHAUSTED"),
        ("RateLimitError", 429, "429"),
    ),
    "rate_limit_tokens": row(
        ("RateLimitError", 429, "rate_limit_exceeded"),
        ("RateLimitError", 429, "rate_limit_error"),
        ("ThrottlingException", 429, "ThrottlingException"),
        ("ClientError", 429, "RESOURCE_EXHAUSTED"),
        ("RateLimitError", 429, "429"),
    ),
    "slow_down": row(
        ("RateLimitError", 429, "slow_down"),
        ("RateLimitError", 429, "rate_limit_error"),
        ("ThrottlingException", 429, "ThrottlingException"),
        ("ClientError", 429, "RESOURCE_EXHAUSTED"),
    ),
    "overloaded": row(
        ("InternalServerError", 503, "overloaded"),
        ("OverloadedError", 529, "overloaded_error"),
        ("ServiceUnavailableException", 503, "ServiceUnavailableException"),
        ("ServerError", 503, "UNAVAILABLE"),
    ),
    "server_error": row(
        ("InternalServerError", 500, None),
        ("InternalServerError", 500, "api_error"),
        ("InternalServerException", 500, "InternalServerException"),
        ("ServerError", 500, "INTERNAL"),
    ),
    "bad_gateway": row(
        ("InternalServerError", 502, None),
        ("InternalServerError", 502, None),
        ("ClientError", 502, "502"),
        ("ServerError", 502, "Bad Gateway"),
    ),
    "gateway_timeout": row(
        ("InternalServerError", 504, None),
        ("GatewayTimeoutError", 504, None),
        ("ClientError", 504, "504"),
        ("ServerError", 504, "Gateway Timeout"),
    ),
    "model_not_ready": row(
        ("InternalServerError", 503, "model_not_ready"),
        ("ServiceUnavailableError", 503, "api_error"),
        ("ModelNotReadyException", 429, "ModelNotReadyException"),
        ("ServerError", 503, "UNAVAILABLE"),
    ),
    "model_timeout": row(
        ("APIStatusError", 408, "request_timeout"),
        ("GatewayTimeoutError", 504, "timeout_error"),
        ("ModelTimeoutException", 408, "ModelTimeoutException"),
        ("ServerError", 504, "DEADLINE_EXCEEDED"),
    ),
    "quota_exhausted": row(
        ("RateLimitError", 429, "insufficient_quota"),
        ("BadRequestError", 400, "invalid_request_error"),
        ("ServiceQuotaExceededException", 400, "ServiceQuotaExceededException"),
        ("ClientError", 429, "RESOURCE_EXHAUSTED"),
    ),
    "daily_quota": row(
        ("RateLimitError", 429, "rate_limit_exceeded"),
        ("RateLimitError", 429, "rate_limit_error"),
        ("ThrottlingException", 429, "ThrottlingException"),
        ("ClientError", 429, "RESOURCE_EXHAUSTED"),
        ("RateLimitError", 429, "429"),
    ),
    "auth": row(
        ("AuthenticationError", 401, "invalid_api_key"),
        ("AuthenticationError", 401, "authentication_error"),
        ("ClientError", 403, "UnrecognizedClientException"),
        ("ClientError", 400, "INVALID_ARGUMENT"),
        ("AuthenticationError", 401, "401"),
    ),
    "forbidden": row(
        ("PermissionDeniedError", 403, "permission_denied"),
        ("PermissionDeniedError", 403, "permission_error"),
        ("AccessDeniedException", 403, "AccessDeniedException"),
        ("ClientError", 403, "PERMISSION_DENIED"),
    ),
    "bad_request": row(
        ("BadRequestError", 400, "invalid_value"),
        ("BadRequestError", 400, "invalid_request_error"),
        ("ValidationException", 400, "ValidationException"),
        ("ClientError", 400, "INVALID_ARGUMENT"),
    ),
    "context_length": row(
        ("BadRequestError", 400, "context_length_exceeded"),
        ("BadRequestError", 400, "invalid_request_error"),
        ("ValidationException", 400, "ValidationException"),
        ("ClientError", 400, "INVALID_ARGUMENT"),
    ),
    "model_not_found": row(
        ("NotFoundError", 404, "model_not_found"),
        ("NotFoundError", 404, "not_found_error"),
        ("ResourceNotFoundException", 404, "ResourceNotFoundException"),
        ("ClientError", 404, "NOT_FOUND"),
        ("NotFoundError", 404, "DeploymentNotFound"),
    ),
    "payload_too_large": row(
        ("APIStatusError", 413, "request_too_large"),
        ("ContentTooLargeError", 413, "request_too_large"),
        ("ClientError", 413, "RequestEntityTooLargeException"),
        ("ClientError", 413, "INVALID_ARGUMENT"),
    ),
    "content_filter": row(
        ("BadRequestError", 400, "content_filter"),
        ("BadRequestError", 400, "invalid_request_error"),
        ("ValidationException", 400, "ValidationException"),
        ("ClientError", 400, "INVALID_ARGUMENT"),
    ),
    "content_filter_200": same(CALLS, Got(finish="content_filter"))
    | same(("anthropic", "bedrock-invoke"), Got(finish="refusal"))
    | {"bedrock": Got(finish="content_filtered"), "gemini": Got(finish="SAFETY")},
    "conn_reset": nameless("APIConnectionError", "APIConnectionError", "ConnectionClosedError", "ReadError"),
    "stall_before_headers": nameless("APITimeoutError", "APITimeoutError", "ReadTimeoutError", "ReadTimeout"),
}
"""What befalls a call alike, streamed or not."""

TIMEOUTS = nameless("ReadTimeout", "ReadTimeout", "ReadTimeoutError", "ReadTimeout")
UNTOUCHED = {name: Got(text=TEXTS[name], finish=ENDS[name]) for name in CALLS}
BEGUN = {name: Got(text=FIRST_TWO[name]) for name in CALLS}
PAGE = Got(text="<html><head><title>Welcome</title></head><body><h1>Welcome</h1></body></html>\n")
UNREADABLE = Got(error="JSONDecodeError")
SILENT = (
    same(CALLS, Got())
    | same(("bedrock", "bedrock-invoke"), Got(error="ChecksumMismatch"))
    | {"gemini": Got(error="UnknownApiResponseError")}
)


def told_within(error: Row, finish: str, code: str | int, azure: str | int | None = None) -> Row:
    """An error inside a stream: for Responses an event like any other, after which the stream ends."""
    codes = {"openai-responses": code, "azure-responses": azure or code}
    return error | {name: Got(text=FIRST_TWO[name], finish=finish, code=codes[name]) for name in RESPONSES}


WHOLE = {
    # botocore takes a body that breaks off, or is no JSON, for an empty success, unless it is InvokeModel's
    "body_truncated": nameless("APIConnectionError", "APIConnectionError", "-", "RemoteProtocolError")
    | {"bedrock": Got(), "bedrock-invoke": Got(error="ResponseStreamingError")},
    "invalid_json": same(CALLS, UNREADABLE) | {"bedrock": Got()},
    "html_body": same(CALLS, PAGE) | same(("bedrock-invoke", "gemini"), UNREADABLE) | {"bedrock": Got()},
    "slow_first_chunk": UNTOUCHED,
    "slow_stream": UNTOUCHED,
    "stall": UNTOUCHED,
    "reset": UNTOUCHED,
    "eof_clean": UNTOUCHED,
    "error_event": UNTOUCHED,
    "failed_event": UNTOUCHED,
    "gateway_error_event": UNTOUCHED,
    "bad_chunk": UNTOUCHED,
}
OVERLOADED_WITHIN = row(
    ("APIError", None, "overloaded"),
    ("APIStatusError", 200, "overloaded_error"),
    ("EventStreamError", None, "serviceUnavailableException"),
    ("ServerError", 503, "UNAVAILABLE"),
)
STREAMED = {
    "body_truncated": nameless(
        "RemoteProtocolError", "RemoteProtocolError", "ProtocolError", "RemoteProtocolError"
    ),
    "invalid_json": SILENT,
    "html_body": SILENT,
    "slow_first_chunk": TIMEOUTS,
    "slow_stream": TIMEOUTS,
    "stall": TIMEOUTS,
    "reset": nameless("ReadError", "ReadError", "ProtocolError", "ReadError"),
    "eof_clean": BEGUN,
    "error_event": told_within(OVERLOADED_WITHIN, "error", "overloaded"),
    "failed_event": told_within(
        row(
            ("APIError", None, "rate_limit_exceeded"),
            ("APIStatusError", 200, "rate_limit_error"),
            ("EventStreamError", None, "throttlingException"),
            ("ClientError", 429, "RESOURCE_EXHAUSTED"),
            ("APIError", None, "429"),
        ),
        "failed",
        "rate_limit_exceeded",
        azure="429",
    ),
    "gateway_error_event": told_within(
        OVERLOADED_WITHIN | same(("openai", "azure"), Got(error="APIError", code=503)), "error", 503
    ),
    "bad_chunk": nameless(
        "JSONDecodeError", "JSONDecodeError", "ChecksumMismatch", "UnknownApiResponseError"
    ),
}
SLOW = {"slow_first_chunk", "slow_stream"}
LASTING = {"stall_before_headers", "stall"} | SLOW

ATTEMPTS_WITH_RETRIES = {
    # what the clients do with two retries of their own: OpenAI's, Anthropic's, Bedrock's, Gemini's
    "rate_limit_requests": (3, 3, 3, 3),
    "overloaded": (3, 3, 3, 3),
    "server_error": (3, 3, 3, 3),
    "gateway_timeout": (3, 3, 3, 3),
    "model_not_ready": (3, 3, 3, 3),
    "model_timeout": (3, 3, 1, 3),
    "quota_exhausted": (3, 1, 1, 3),  # permanent, and yet two of the clients try again
    "daily_quota": (3, 3, 3, 3),  # likewise, and all of them do
    "auth": (1, 1, 1, 1),
    "bad_request": (1, 1, 1, 1),
    "content_filter_200": (1, 1, 1, 1),
    "conn_reset": (
        3,
        3,
        3,
        1,
    ),  # google-genai takes what connects late for transient, and not what breaks off
}
COLUMNS = {"openai": 0, "anthropic": 1, "bedrock": 2, "gemini": 3}
"""In that table: one protocol of each SDK, whose retries are the same loop for all that it speaks."""
NO_TEXT = {
    "openai-embeddings",
    "azure-embeddings",
    "anthropic-count-tokens",
    "bedrock-count-tokens",
    "gemini-count-tokens",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def impatient_s(server: Running) -> float:
    """How long a client waits for a fault that never answers: far longer than for one that does, here."""
    server.told(SimulatorConfig())
    took_s = []
    for call in (*CALLS.values(), *CALLS.values()):
        begun_s = time.monotonic()
        call(server.url, stream=True)
        took_s.append(time.monotonic() - begun_s)
    return max(0.3, 3 * max(took_s))


def decisions(server: Running, count: int) -> list[str]:
    """Those in the journal, which gets its row a moment after the caller has its answer."""
    until("its rows", lambda: server.simulator.journal.count >= count)
    return [entry.decision for _, entry in server.simulator.journal.since(0)]


def test_every_fault_has_its_row() -> None:
    assert set(REFUSED) | set(WHOLE) == set(REFUSED) | set(STREAMED) == set(REGISTRY)
    assert not set(REFUSED) & set(WHOLE)
    assert [wire.name for wire in Wires().all if wire.name not in NO_TEXT] == list(CALLS) == list(TEXTS)


@pytest.mark.parametrize("protocol", CALLS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_without_a_fault_the_client_gets_the_answer(server: Running, protocol: str, *, stream: bool) -> None:
    server.told(SimulatorConfig())
    assert CALLS[protocol](server.url, stream=stream) == UNTOUCHED[protocol]
    assert decisions(server, 1) == ["ok"]


@pytest.mark.parametrize("protocol", CALLS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_the_client_raises_what_the_real_service_would_make_it_raise(
    server: Running, impatient_s: float, kind: str, protocol: str, *, stream: bool
) -> None:
    slow_s = 5 * impatient_s if kind in SLOW and stream else None
    server.told(SimulatorConfig(faults=(FaultRule(kind=kind, after_chunks=2, delay_s=slow_s),)))
    expected = (REFUSED | (STREAMED if stream else WHOLE))[kind][protocol]
    give_up = {"give_up_s": impatient_s} if kind in LASTING and expected.error else {}

    assert CALLS[protocol](server.url, stream=stream, **give_up) == expected

    befalls = stream or REGISTRY[kind].fault_class not in {"stream", "slow"}
    assert decisions(server, 1) == [kind if befalls else "ok"]


@pytest.mark.parametrize(("protocol", "position"), COLUMNS.items())
@pytest.mark.parametrize("kind", sorted(ATTEMPTS_WITH_RETRIES))
def test_with_retries_of_its_own_the_client_makes_as_many_attempts_as_it_would(
    server: Running, kind: str, protocol: str, position: int
) -> None:
    server.told(SimulatorConfig(faults=(FaultRule(kind=kind, retry_after_s=0.001),)))
    CALLS[protocol](server.url, stream=False, retries=2)
    expected = ATTEMPTS_WITH_RETRIES[kind][position]
    assert decisions(server, expected) == [kind] * expected
    assert [entry.attempt for _, entry in server.simulator.journal.since(0)] == [*range(1, expected + 1)]


@pytest.mark.parametrize("protocol", CALLS)
@pytest.mark.parametrize("kind", ["slow_first_chunk", "slow_stream"])
def test_a_slow_stream_is_whole_in_the_end(server: Running, kind: str, protocol: str) -> None:
    server.told(SimulatorConfig(faults=(FaultRule(kind=kind, delay_s=0.02),)))
    assert CALLS[protocol](server.url, stream=True) == UNTOUCHED[protocol]
    assert decisions(server, 1) == [kind]


@pytest.mark.parametrize("protocol", CALLS)
def test_a_caller_that_gives_up_is_noted_as_gone_at_once(
    server: Running, impatient_s: float, protocol: str
) -> None:
    server.told(SimulatorConfig(faults=(FaultRule(kind="stall_before_headers"),)))
    CALLS[protocol](server.url, stream=False, give_up_s=impatient_s)
    assert decisions(server, 1) == ["stall_before_headers"]
    ((_, entry),) = server.simulator.journal.since(0)
    assert entry.client_gone
    assert entry.status == 0
    assert entry.end_s - entry.time_s < STALL_S / 2
