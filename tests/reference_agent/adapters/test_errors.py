import json
import ssl
from typing import Any

import httpx
import openai
import pytest
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    CredentialRetrievalError,
    EndpointConnectionError,
    EventStreamError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    UnauthorizedSSOTokenError,
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
)
from tests.reference_agent.rig import run
from tests.reference_agent.wire import Reply, Wire, breaks, chunk, event, refuses, streamed

HALF_PAST = "Wed, 21 Oct 2026 07:30:00 GMT"


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
    expected = Classification(transient, code, unauthorized=status == 401)
    assert classify(raised(refuses(status, code))) == expected


def test_what_is_used_up_for_the_day_is_not_asked_for_again_but_when_it_says_so() -> None:
    said = "Rate limit reached on requests per day (RPD). Please try again in 7h12m0s."
    spent = classify(raised(refuses(429, "rate_limit_exceeded", said)))
    assert spent == Classification(transient=False, error_type="daily_quota_exhausted")
    soon = classify(raised(refuses(429, "rate_limit_exceeded", said, retry_after="9")))
    assert soon == Classification(transient=True, error_type="rate_limit_exceeded", retry_after_s=9.0)


@pytest.mark.parametrize(("status", "transient"), [(500, True), (502, True), (401, False), (404, False)])
def test_a_status_stands_for_a_code_that_is_missing(status: int, *, transient: bool) -> None:
    expected = Classification(transient, f"http_{status}", unauthorized=status == 401)
    assert classify(raised(refuses(status))) == expected


@pytest.mark.parametrize("error", [httpx.ConnectError("x"), httpx.ReadError("x"), httpx.ReadTimeout("x")])
def test_a_connection_that_failed(error: Exception) -> None:
    assert classify(raised(breaks(error))).transient


def framed(error: object) -> Exception:
    """Return what the real client makes of an error in the stream of an answer that had begun."""

    async def work() -> Exception:
        wire = Wire([streamed(chunk({"content": "a"}), event({"error": error}))])
        http = httpx.AsyncClient(transport=wire)
        client = openai.AsyncOpenAI(base_url="http://m/v1", api_key="k", max_retries=0, http_client=http)
        asked: Any = [{"role": "user", "content": "hi"}]
        chunks = await client.chat.completions.create(model="m", messages=asked, stream=True)
        with pytest.raises(openai.APIError) as caught:
            async for _ in chunks:
                pass
        return caught.value

    error_: Exception = run(work())
    return error_


@pytest.mark.parametrize(
    ("error", "transient", "error_type"),
    [
        ({"code": 429, "message": "m"}, True, "http_429"),
        ({"code": "429", "message": "m"}, True, "http_429"),
        ({"code": 502, "message": "m", "metadata": {}}, True, "http_502"),
        ({"code": 408, "message": "m"}, True, "http_408"),
        ({"code": 400, "type": "BadRequestError", "message": "m"}, False, "BadRequestError"),
        ({"code": 500, "type": "InternalServerError", "message": "m"}, True, "InternalServerError"),
        ({"code": 402, "message": "m"}, False, "http_402"),
        ({"type": "rate_limit_error", "message": "m"}, True, "rate_limit_error"),
        ({"type": "timeout_error", "message": "m"}, True, "timeout_error"),
        ({"type": "overloaded_error", "message": "m"}, True, "overloaded_error"),
        ({"code": "slow_down", "message": "m"}, True, "slow_down"),
        ({"code": "SERVICE_UNAVAILABLE", "message": "m"}, True, "SERVICE_UNAVAILABLE"),
        ({"code": "rate_limit_exceeded", "type": "tokens", "message": "m"}, True, "rate_limit_exceeded"),
        (
            {"code": "insufficient_quota", "type": "rate_limit_error", "message": "m"},
            False,
            "insufficient_quota",
        ),
        ({"code": None, "type": "insufficient_quota", "message": "m"}, False, "insufficient_quota"),
        ({"code": "content_filter", "message": "m"}, False, "content_filter"),
        ({"type": "invalid_request_error", "message": "m"}, False, "invalid_request_error"),
        ({"message": "m"}, True, "stream_error"),
        ("it broke", True, "stream_error"),
        ({"code": "a whole sentence of the prompt", "message": "m"}, False, "stream_error"),
        ({"code": 7, "message": "m"}, False, "stream_error"),
    ],
    ids=str,
)
def test_an_error_frame_of_a_gateway(error: object, error_type: str, *, transient: bool) -> None:
    assert classify(framed(error)) == Classification(transient, error_type)


@pytest.mark.parametrize("code", ["a sentence of the prompt", "x" * 65, "", "1.5", "\n"])
def test_a_code_that_is_no_name_is_not_handed_on(code: str) -> None:
    assert classify(raised(refuses(400, code))) == Classification(transient=False, error_type="http_400")


def test_an_address_without_a_scheme_is_no_broken_connection() -> None:
    async def work() -> Exception:
        client = openai.AsyncOpenAI(base_url="model.example/v1", api_key="k", max_retries=0)
        with pytest.raises(openai.APIConnectionError) as caught:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        return caught.value

    expected = Classification(transient=False, error_type="UnsupportedProtocol", unsent=True)
    assert classify(run(work())) == expected


def test_a_key_that_no_header_can_carry_is_no_broken_connection() -> None:
    expected = Classification(transient=False, error_type="LocalProtocolError", unsent=True)
    assert classify(raised(breaks(httpx.LocalProtocolError("Illegal header value")))) == expected


def test_an_address_that_leads_round_and_round_is_no_broken_connection() -> None:
    expected = Classification(transient=False, error_type="TooManyRedirects", unsent=True)
    assert classify(raised(breaks(httpx.TooManyRedirects("Exceeded maximum allowed redirects.")))) == expected


def test_a_certificate_that_is_not_trusted_is_the_same_at_the_second_try() -> None:
    untrusted = httpx.ConnectError("tls")
    untrusted.__cause__ = ssl.SSLCertVerificationError("self-signed")
    expected = Classification(transient=False, error_type="SSLCertVerificationError", unsent=True)
    assert classify(raised(breaks(untrusted))) == expected
    assert classify(untrusted) == expected


def test_a_throttled_call_is_judged_by_what_the_provider_said() -> None:
    for code, transient in (("rate_limit_exceeded", True), ("insufficient_quota", False)):
        throttled = ModelThrottledException("429")
        throttled.__cause__ = raised(refuses(429, code))
        assert classify(throttled) == Classification(transient, code)
    assert classify(ModelThrottledException("no cause")).transient


def aws(code: str, status: int = 400, message: str = "m", **headers: str) -> ClientError:
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "Converse"
    )  # type: ignore[arg-type]


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
        (aws("408", 408), Classification(transient=True, error_type="http_408")),
        (aws("409", 409), Classification(transient=True, error_type="http_409")),
        (aws("429", 429), Classification(transient=True, error_type="http_429")),
        (aws("404", 404), Classification(transient=False, error_type="http_404")),
        (aws("ThrottledByAProxy", 429), Classification(transient=True, error_type="ThrottledByAProxy")),
        (aws("", 429), Classification(transient=True, error_type="http_429")),
        (
            aws("ThrottlingException", 429, "Too many tokens per day, please wait before trying again."),
            Classification(transient=False, error_type="daily_quota_exhausted"),
        ),
        (
            aws("ThrottlingException", 429, "Too many tokens, please wait before trying again."),
            Classification(transient=True, error_type="ThrottlingException"),
        ),
        (
            CredentialRetrievalError(provider="iam-role", error_msg="m"),
            Classification(transient=True, error_type="CredentialRetrievalError"),
        ),
        (
            MetadataRetrievalError(error_msg="m"),
            Classification(transient=True, error_type="MetadataRetrievalError"),
        ),
        (
            NoCredentialsError(),
            Classification(transient=False, error_type="NoCredentialsError", unsent=True),
        ),
        (
            PartialCredentialsError(provider="env", cred_var="v"),
            Classification(transient=False, error_type="PartialCredentialsError", unsent=True),
        ),
        (
            UnauthorizedSSOTokenError(),
            Classification(transient=False, error_type="UnauthorizedSSOTokenError", unsent=True),
        ),
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
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), True, "malformed_answer"),
        (httpx.DecodingError("no gzip"), True, "DecodingError"),
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


def test_the_wait_is_read_from_the_real_exceptions() -> None:
    assert classify(raised(refuses(429, "x", retry_after="7"))).retry_after_s == 7.0
    headers: Any = {"retry-after": "4"}
    assert classify(aws("ThrottlingException", 429, **headers)).retry_after_s == 4.0
    dated = refuses(429, "x", retry_after=HALF_PAST, date="Wed, 21 Oct 2026 07:29:50 GMT")
    assert classify(raised(dated)).retry_after_s == 10.0


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (raised(refuses(401, "invalid_api_key")), True),
        (raised(refuses(401)), True),
        (raised(refuses(401, "auth_error")), True),
        (aws("SomethingNewException", 401), True),
        (aws("UnrecognizedClientException", 403), True),
        (aws("ExpiredTokenException", 403), True),
        (raised(refuses(403, "permission_denied")), False),
        (aws("AccessDeniedException", 403), False),
    ],
)
def test_credentials_that_are_not_accepted(error: Exception, *, refused: bool) -> None:
    assert classify(error).refused_credentials is refused
