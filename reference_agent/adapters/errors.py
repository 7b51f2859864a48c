"""What is transient: every error of the model SDKs, classified in one place.

| fault | surfaces as | retried |
|---|---|---|
| rate limit | `ModelThrottledException` over `RateLimitError` / a throttling `ClientError` | yes |
| quota used up | the same class: only the provider's code tells | no |
| 408, 409, 5xx, 529 | `APIStatusError` / `ClientError` | yes |
| refused, reset, timeout | `APIConnectionError`, httpx and botocore transport errors | yes |
| error frame, cut or stalled stream | bare `APIError`, httpx and urllib3 errors, `EventStreamError` | yes |
| a malformed answer | `MalformedAnswerError`, `JSONDecodeError`, botocore's `ParserError` | yes |
| other 4xx, content filter, context overflow | their own classes | no |
| anything else | whatever it is: a bug of this agent | no |

Once part of an answer was sent to the caller nothing is retried: the caller would see it twice.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
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

EXHAUSTED_QUOTA: Final = {"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"}
TRANSIENT_STATUS: Final = {
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.CONFLICT,
    HTTPStatus.TOO_MANY_REQUESTS,
}
TRANSIENT_TYPES: Final = {
    "server_error",
    "overloaded_error",
    "overloaded",
    "rate_limit_exceeded",
    "api_error",
}
BEDROCK_TRANSIENT: Final = {
    "ThrottlingException",
    "TooManyRequestsException",
    "ServiceUnavailableException",
    "InternalServerException",
    "ModelNotReadyException",
    "ModelTimeoutException",
    "ModelStreamErrorException",
    "modelStreamErrorException",
    "internalServerException",
    "throttlingException",
    "serviceUnavailableException",
}
REFUSED_CREDENTIALS: Final = {
    "invalid_api_key",
    "http_401",
    "UnrecognizedClientException",
    "ExpiredTokenException",
    "InvalidSignatureException",
}
FILTERED: Final = {"content_filtered", "guardrail_intervened"}


class MalformedAnswerError(Exception):
    """The model's answer breaks off, or is not one: to the SDK it looks like a short success."""


class ContentFilteredError(Exception):
    """The model's provider withheld the answer: sending the same again gives the same."""

    def __init__(self, stop_reason: str) -> None:
        super().__init__(f"the provider withheld the answer ({stop_reason})")


@dataclass(frozen=True, slots=True)
class Classification:
    """What an error of a model call is.

    Attributes:
        transient: whether a retry can help.
        error_type: a short stable name for spans, logs and callers.
        retry_after_s: what the provider asked for.
        internal: whether it is a bug of this agent, not an error of the model.
    """

    transient: bool
    error_type: str
    retry_after_s: float | None = None
    internal: bool = False

    @property
    def refused_credentials(self) -> bool:
        """Whether the model's provider doesn't accept the key."""
        return self.error_type in REFUSED_CREDENTIALS


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
    if isinstance(error, httpx.TransportError):
        return Classification(transient=True, error_type=type(error).__name__)
    return _botocore(error) or Classification(transient=False, error_type=type(error).__name__, internal=True)


_BY_CLASS: Final[dict[type[Exception], Classification]] = {
    ContextWindowOverflowException: Classification(transient=False, error_type="context_length_exceeded"),
    MaxTokensReachedException: Classification(transient=False, error_type="max_tokens"),
    ContentFilteredError: Classification(transient=False, error_type="content_filter"),
    MalformedAnswerError: Classification(transient=True, error_type="malformed_answer"),
    json.JSONDecodeError: Classification(transient=True, error_type="malformed_answer"),
}


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer's headers ask to wait; `retry-after-ms` is the finer one."""
    for name, unit_s in (("retry-after-ms", 1e-3), ("x-amz-retry-after", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit_s
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None


def _openai(error: openai.APIError) -> Classification:
    if isinstance(error, openai.APIConnectionError):
        return Classification(transient=True, error_type=type(error).__name__)
    code = str(error.code or error.type or "")
    if isinstance(error, openai.APIStatusError):
        status = error.status_code
        transient = (
            status in TRANSIENT_STATUS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
        ) and code not in EXHAUSTED_QUOTA
        return Classification(transient, code or f"http_{status}", retry_after_s(error.response.headers))
    return Classification(
        code in TRANSIENT_TYPES or str(error.type) in TRANSIENT_TYPES, code or "stream_error"
    )


def _botocore(error: BaseException) -> Classification | None:
    """Classify an error of boto3, which is there only when Bedrock is used."""
    exceptions: Any = sys.modules.get("botocore.exceptions")
    if exceptions is None:
        return None
    if isinstance(error, exceptions.ClientError):  # EventStreamError is one, too
        response: dict[str, Any] = error.response
        code = str(response.get("Error", {}).get("Code", ""))
        metadata = response.get("ResponseMetadata", {})
        transient = (
            code in BEDROCK_TRANSIENT or metadata.get("HTTPStatusCode", 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
        )
        if code.isdecimal():  # what botocore makes of an error without a name, such as a proxy's
            code = f"http_{code}"
        return Classification(transient, code, retry_after_s(metadata.get("HTTPHeaders", {})))
    transport: tuple[type[BaseException], ...] = (
        exceptions.HTTPClientError,
        exceptions.ConnectionError,
        sys.modules["botocore.eventstream"].ParserError,
        sys.modules["urllib3.exceptions"].HTTPError,
    )
    if isinstance(error, transport):
        return Classification(transient=True, error_type=type(error).__name__)
    return None
