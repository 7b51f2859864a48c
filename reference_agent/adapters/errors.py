"""What is transient: every error of the model SDKs, classified in one place.

| fault | surfaces as | retried |
|---|---|---|
| rate limit | `ModelThrottledException` over `RateLimitError` / a throttling `ClientError` | yes |
| quota used up, or Bedrock's of the day | the same class: only the provider's code or words tell | no |
| 408, 409, 425, 429, 5xx, 529, also without a name | `APIStatusError` / `ClientError` | yes |
| refused, reset, timeout | `APIConnectionError`, httpx and botocore transport errors | yes |
| a key or an address that can't be sent, a certificate that is not trusted | the same classes | no |
| cut or stalled stream | httpx and urllib3 errors, `EventStreamError` | yes |
| error frame in a stream | bare `APIError`, `EventStreamError` | by its code, and without one |
| a malformed answer | `MalformedAnswerError`, `JSONDecodeError`, botocore's `ParserError` | yes |
| credentials that could not be fetched | botocore's `CredentialRetrievalError` and its like | yes |
| no credentials | `NoCredentialsError` and its like | no |
| other 4xx, content filter, context overflow | their own classes | no |
| anything else | whatever it is: a bug of this agent | no |

An error frame of a gateway may have a number for its code: it stands for the HTTP status.
Once part of an answer was sent to the caller nothing is retried: the caller would see it twice.
"""

from __future__ import annotations

import json
import re
import ssl
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx
import openai
from strands.types.exceptions import (
    ContextWindowOverflowException,
    EventLoopException,
    MaxTokensReachedException,
    ModelThrottledException,
)

from reference_agent.patterns.retry import retry_after_s

EXHAUSTED_QUOTA: Final = {"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"}
TRANSIENT_STATUS: Final = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
TRANSIENT_FRAMES: Final = {
    *("apierror", "servererror", "internalerror", "internalservererror", "upstreamerror", "badgateway"),
    *("overloaded", "overloadederror", "engineoverloaded", "serveroverloaded", "slowdown"),
    *("ratelimit", "ratelimiterror", "ratelimitexceeded", "toomanyrequests", "resourceexhausted"),
    *(
        "throttlingerror",
        "throttlingexception",
        "timeout",
        "timeouterror",
        "gatewaytimeout",
        "requesttimeout",
    ),
    *("unavailable", "serviceunavailable", "serviceunavailableerror", "temporarilyunavailable"),
}
"""Codes and types of error frames, in small letters alone: gateways write them in every way."""
BEDROCK_TRANSIENT: Final = {
    "throttlingexception",
    "toomanyrequestsexception",
    "serviceunavailableexception",
    "internalserverexception",
    "modelnotreadyexception",
    "modeltimeoutexception",
    "modelstreamerrorexception",
}
"""In small letters: a stream's begin with one."""
BEDROCK_PERMANENT: Final = {"ServiceQuotaExceededException"}
DAILY_QUOTA: Final = re.compile(r"\bper day\b|\bdaily\b", re.IGNORECASE)
"""What a throttle says that is not over before tomorrow; where it tells when to come back, that counts."""
DAILY_QUOTA_EXHAUSTED: Final = "daily_quota_exhausted"
NO_CREDENTIALS: Final = {
    *("NoCredentialsError", "PartialCredentialsError", "NoAuthTokenError", "UnknownCredentialError"),
    *("SSOTokenLoadError", "UnauthorizedSSOTokenError", "LoginTokenLoadError", "TokenRetrievalError"),
}
CREDENTIALS_NOT_FETCHED: Final = {"CredentialRetrievalError", "MetadataRetrievalError"}
REFUSED_CREDENTIALS: Final = {
    "invalid_api_key",
    "http_401",
    "UnrecognizedClientException",
    "ExpiredTokenException",
    "InvalidSignatureException",
    *NO_CREDENTIALS,
}
UNSENDABLE: Final = (
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
    httpx.TooManyRedirects,
    ssl.SSLCertVerificationError,
)
"""Causes of a connection error that are the same at the second try: the key, the address, or the trust."""
FILTERED: Final = {"content_filtered", "guardrail_intervened"}
NAME: Final = re.compile(r"[A-Za-z][\w.:-]{0,63}", re.ASCII)


class MalformedAnswerError(Exception):
    """The model's answer breaks off, or is not one: to the SDK it looks like a short success."""


class ContentFilteredError(Exception):
    """The model's provider withheld the answer: sending the same again gives the same."""

    def __init__(self, stop_reason: str) -> None:
        super().__init__(f"the provider withheld the answer ({stop_reason})")


class TooManyCallsError(Exception):
    """The model goes on asking for tools, and gives no answer."""


@dataclass(frozen=True, slots=True)
class Classification:
    """What an error of a model call is.

    Attributes:
        transient: whether a retry can help.
        error_type: a short stable name for spans, logs and callers.
        retry_after_s: what the provider asked for.
        internal: whether it is a bug of this agent, not an error of the model.
        unsent: whether nothing can be sent as the agent is set up: its key, its address, its credentials.
        unauthorized: whether the provider said so by its status, whatever name it has for it.
    """

    transient: bool
    error_type: str
    retry_after_s: float | None = None
    internal: bool = False
    unsent: bool = False
    unauthorized: bool = False

    @property
    def refused_credentials(self) -> bool:
        """Whether the model's provider doesn't accept the key, or there is none."""
        return self.unauthorized or self.error_type in REFUSED_CREDENTIALS


def classify(error: BaseException) -> Classification:
    """Classify an error raised by a model call."""
    if isinstance(error, EventLoopException):  # Strands' wrapper from the second model call of a turn on
        return classify(error.original_exception)
    if isinstance(error, ModelThrottledException):
        return (
            classify(error.__cause__)
            if error.__cause__
            else Classification(transient=True, error_type="rate_limit")
        )
    if isinstance(error, openai.APIError):
        return _openai(error)
    for kind, classification in _BY_CLASS.items():
        if isinstance(error, kind):
            return classification
    if isinstance(error, (httpx.RequestError, httpx.InvalidURL)):
        return _unconnected(error)
    return _botocore(error) or Classification(transient=False, error_type=type(error).__name__, internal=True)


_BY_CLASS: Final[dict[type[Exception], Classification]] = {
    ContextWindowOverflowException: Classification(transient=False, error_type="context_length_exceeded"),
    MaxTokensReachedException: Classification(transient=False, error_type="max_tokens"),
    ContentFilteredError: Classification(transient=False, error_type="content_filter"),
    MalformedAnswerError: Classification(transient=True, error_type="malformed_answer"),
    json.JSONDecodeError: Classification(transient=True, error_type="malformed_answer"),
    UnicodeDecodeError: Classification(transient=True, error_type="malformed_answer"),
}


def _unconnected(error: BaseException) -> Classification:
    """Classify an error of a request that had no answer."""
    for cause in _causes(error):
        if isinstance(cause, UNSENDABLE):
            return Classification(transient=False, error_type=type(cause).__name__, unsent=True)
    return Classification(transient=True, error_type=type(error).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    for _ in range(10):  # longer chains than any library's; a circle ends, too
        if seen is None:
            return
        yield seen
        seen = seen.__cause__ or seen.__context__


def _openai(error: openai.APIError) -> Classification:
    if isinstance(error, openai.APIConnectionError):
        return _unconnected(error)
    names = [str(value) for value in (error.code, error.type) if value is not None]
    status = next((int(name) for name in names if name.isdecimal() and len(name) == len("429")), None)
    name = next((name for name in names if NAME.fullmatch(name)), "")  # any text may stand there
    if isinstance(error, openai.APIStatusError):
        status = error.status_code
    transient = not EXHAUSTED_QUOTA.intersection(names) and (
        _transient(status) if status is not None else _transient_frame(names)
    )
    after_s = retry_after_s(error.response.headers) if isinstance(error, openai.APIStatusError) else None
    if transient and after_s is None and DAILY_QUOTA.search(error.message):
        return Classification(transient=False, error_type=DAILY_QUOTA_EXHAUSTED)
    told = name or (f"http_{status}" if status is not None else "stream_error")
    return Classification(transient, told, after_s, unauthorized=status == HTTPStatus.UNAUTHORIZED)


def _transient(status: int) -> bool:
    return status in TRANSIENT_STATUS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _transient_frame(names: list[str]) -> bool:
    """Return whether an error in the stream is transient: one without a name is the server's own."""
    return not names or any(re.sub(r"[\W_]", "", name).lower() in TRANSIENT_FRAMES for name in names)


def _botocore(error: BaseException) -> Classification | None:
    """Classify an error of boto3, which is there only when Bedrock is used."""
    exceptions: Any = sys.modules.get("botocore.exceptions")
    if exceptions is None:
        return None
    if isinstance(error, exceptions.ClientError):  # EventStreamError is one, too
        return _bedrock(error.response)
    transport: tuple[type[BaseException], ...] = (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        sys.modules["botocore.eventstream"].ParserError,
        sys.modules["urllib3.exceptions"].HTTPError,
    )
    if isinstance(error, transport):
        return _unconnected(error)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & (NO_CREDENTIALS | CREDENTIALS_NOT_FETCHED):
        fetched = not kinds & CREDENTIALS_NOT_FETCHED
        return Classification(not fetched, type(error).__name__, unsent=fetched)
    return None


def _bedrock(response: dict[str, Any]) -> Classification:
    told, metadata = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, status = str(told.get("Code", "")), int(metadata.get("HTTPStatusCode", 0))
    after_s = retry_after_s(metadata.get("HTTPHeaders", {}))
    if code.lower() in BEDROCK_TRANSIENT and DAILY_QUOTA.search(str(told.get("Message", ""))):
        return Classification(transient=False, error_type=DAILY_QUOTA_EXHAUSTED, retry_after_s=after_s)
    transient = code.lower() in BEDROCK_TRANSIENT or (_transient(status) and code not in BEDROCK_PERMANENT)
    # What botocore makes of an error without a name, such as a proxy's, is its number.
    name = code if NAME.fullmatch(code) else f"http_{status or code}"
    return Classification(transient, name, after_s, unauthorized=status == HTTPStatus.UNAUTHORIZED)
