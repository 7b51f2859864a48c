import json
from typing import Any

import httpx
import openai
import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    EventStreamError,
    ReadTimeoutError,
)
from strands.types.exceptions import (
    ContextWindowOverflowException,
    EventLoopException,
    MaxTokensReachedException,
    ModelThrottledException,
)
from urllib3.exceptions import ProtocolError

from reference_agent.adapters.errors import (
    Classification,
    ContentFilteredError,
    MalformedAnswerError,
    classify,
    retry_after_s,
)
from tests.reference_agent.rig import run
from tests.reference_agent.wire import Reply, Wire, breaks, refuses


def raised(reply: Reply) -> Exception:
    """Return what the real client makes of an answer."""

    async def work() -> Exception:
        http = httpx.AsyncClient(transport=Wire([reply]))
        client = openai.AsyncOpenAI(base_url="http://m/v1", api_key="k", max_retries=0, http_client=http)
        with pytest.raises(openai.APIError) as caught:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        return caught.value

    error: Exception = run(work())
    return error


@pytest.mark.parametrize(
    ("status", "code", "transient"),
    [
        (429, "rate_limit_exceeded", True),
        (429, "slow_down", True),
        (429, "insufficient_quota", False),
        (429, "credit_balance_exhausted", False),
        (408, "request_timeout", True),
        (409, "conflict", True),
        (500, "server_error", True),
        (503, "overloaded", True),
        (529, "overloaded_error", True),
        (400, "invalid_value", False),
        (400, "content_filter", False),
        (401, "invalid_api_key", False),
        (403, "permission_denied", False),
        (404, "model_not_found", False),
        (413, "request_too_large", False),
        (422, "unprocessable", False),
    ],
)
def test_an_answer_with_an_error_status(status: int, code: str, *, transient: bool) -> None:
    assert classify(raised(refuses(status, code))) == Classification(transient, code)


@pytest.mark.parametrize(("status", "transient"), [(500, True), (502, True), (401, False), (404, False)])
def test_a_status_stands_for_a_code_that_is_missing(status: int, *, transient: bool) -> None:
    assert classify(raised(refuses(status))) == Classification(transient, f"http_{status}")


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ReadError("x"), httpx.ReadTimeout("x")])
def test_a_connection_that_failed(error: Exception) -> None:
    assert classify(raised(breaks(error))).transient


def test_a_throttled_call_is_judged_by_what_the_provider_said() -> None:
    for code, transient in (("rate_limit_exceeded", True), ("insufficient_quota", False)):
        throttled = ModelThrottledException("429")
        throttled.__cause__ = raised(refuses(429, code))
        assert classify(throttled) == Classification(transient, code)
    assert classify(ModelThrottledException("no cause")).transient


def aws(code: str, status: int = 400, **headers: str) -> ClientError:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, "Converse")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (aws("ThrottlingException", 429), Classification(transient=True, error_type="ThrottlingException")),
        (
            aws("ModelNotReadyException", 429),
            Classification(transient=True, error_type="ModelNotReadyException"),
        ),
        (
            aws("ModelTimeoutException", 408),
            Classification(transient=True, error_type="ModelTimeoutException"),
        ),
        (aws("502", 502), Classification(transient=True, error_type="http_502")),
        (aws("SomethingNew", 500), Classification(transient=True, error_type="SomethingNew")),
        (aws("ValidationException"), Classification(transient=False, error_type="ValidationException")),
        (
            aws("AccessDeniedException", 403),
            Classification(transient=False, error_type="AccessDeniedException"),
        ),
        (
            aws("ServiceQuotaExceededException"),
            Classification(transient=False, error_type="ServiceQuotaExceededException"),
        ),
        (
            EventStreamError({"Error": {"Code": "modelStreamErrorException"}}, "ConverseStream"),
            Classification(transient=True, error_type="modelStreamErrorException"),
        ),
        (
            EventStreamError({"Error": {"Code": "validationException"}}, "ConverseStream"),
            Classification(transient=False, error_type="validationException"),
        ),
        (
            EndpointConnectionError(endpoint_url="u"),
            Classification(transient=True, error_type="EndpointConnectionError"),
        ),
        (
            ConnectionClosedError(endpoint_url="u"),
            Classification(transient=True, error_type="ConnectionClosedError"),
        ),
        (ReadTimeoutError(endpoint_url="u"), Classification(transient=True, error_type="ReadTimeoutError")),
        (ProtocolError("cut"), Classification(transient=True, error_type="ProtocolError")),
        (ChecksumMismatch(1, 2), Classification(transient=True, error_type="ChecksumMismatch")),
    ],
)
def test_an_error_of_bedrock(error: Exception, expected: Classification) -> None:
    assert classify(error) == expected


@pytest.mark.parametrize(
    ("error", "transient", "error_type"),
    [
        (httpx.RemoteProtocolError("cut"), True, "RemoteProtocolError"),
        (MalformedAnswerError("no end"), True, "malformed_answer"),
        (json.JSONDecodeError("no", "", 0), True, "malformed_answer"),
        (ContextWindowOverflowException("long"), False, "context_length_exceeded"),
        (ContentFilteredError("content_filtered"), False, "content_filter"),
        (MaxTokensReachedException("long"), False, "max_tokens"),
    ],
)
def test_what_is_no_error_of_an_sdk(error: Exception, error_type: str, *, transient: bool) -> None:
    assert classify(error) == Classification(transient, error_type)
    assert classify(EventLoopException(error)) == Classification(transient, error_type)


def test_a_mistake_of_the_agent_is_known_as_one_and_never_retried() -> None:
    assert classify(KeyError("x")) == Classification(transient=False, error_type="KeyError", internal=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_when_the_provider_wants_the_next_try(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_the_wait_is_read_from_the_real_exceptions() -> None:
    assert classify(raised(refuses(429, "x", retry_after="7"))).retry_after_s == 7.0
    headers: Any = {"retry-after": "4"}
    assert classify(aws("ThrottlingException", 429, **headers)).retry_after_s == 4.0


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (raised(refuses(401, "invalid_api_key")), True),
        (raised(refuses(401)), True),
        (aws("UnrecognizedClientException", 403), True),
        (aws("ExpiredTokenException", 403), True),
        (raised(refuses(403, "permission_denied")), False),
        (aws("AccessDeniedException", 403), False),
    ],
)
def test_credentials_that_are_not_accepted(error: Exception, *, refused: bool) -> None:
    assert classify(error).refused_credentials is refused
