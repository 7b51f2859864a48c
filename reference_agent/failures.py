"""What a caller gets when a request fails: one table from exceptions to HTTP."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final, NamedTuple

from starlette.responses import JSONResponse
from strands.types.exceptions import EventLoopException

from reference_agent.adapters.errors import TooManyCallsError, classify
from reference_agent.adapters.sessions.protocol import (
    MAX_TURN_BYTES,
    AnswerTooLargeError,
    ConflictError,
    ReusedRequestError,
    SessionError,
    TurnTooLargeError,
)
from reference_agent.contract import BUSY_HEADER
from reference_agent.patterns.client_cache import ClientUnavailableError

LONGEST_RETRY_AFTER_S: Final = 86_400
"""A provider may say anything; nobody plans further than a day."""
logger = logging.getLogger(__name__)


class AgentError(Exception):
    """A failure as the caller gets it: nothing of the prompt, of keys, or of the provider's message.

    Attributes:
        status: of HTTP.
        error_type: a short stable name.
        retry_after_s: when it may be worth another try.
        elsewhere: whether another container may be asked at once, for nothing of the work began.
    """

    def __init__(
        self,
        status: HTTPStatus,
        error_type: str,
        message: str,
        *,
        retry_after_s: float | None = None,
        elsewhere: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.retry_after_s = retry_after_s
        self.elsewhere = elsewhere

    def body(self) -> dict[str, str]:
        """Return what the caller is sent."""
        return {"error": str(self), "error_type": self.error_type, "message": str(self)}

    def response(self, headers: Mapping[str, str]) -> JSONResponse:
        """Return the whole answer, with `headers`."""
        if self.retry_after_s is not None:  # whole seconds, rounded up, as HTTP has it
            wait_s = min(math.ceil(self.retry_after_s), LONGEST_RETRY_AFTER_S)
            headers = {**headers, "retry-after": str(wait_s)}
        if self.elsewhere:
            headers = {**headers, BUSY_HEADER: "1"}
        return JSONResponse(self.body(), self.status, headers=headers)


@contextmanager
def raised_as_agent_error() -> Iterator[None]:
    """Turn every exception into an `AgentError`, and log it.

    Raises:
        AgentError: in place of any other exception.
    """
    try:
        yield
    except Exception as error:
        raised = as_agent_error(error)
        # Never its message: it may quote a prompt, or a key.
        cause = type(error.__cause__ or error).__name__
        frames = error if raised.status == HTTPStatus.INTERNAL_SERVER_ERROR else None
        logger.warning(
            "request failed: %s (%d), %s", raised.error_type, raised.status, cause, exc_info=frames
        )
        raise raised from error


def draining_error(*, elsewhere: bool = False) -> AgentError:
    """Return the error of a request that took longer than the container has for draining.

    Args:
        elsewhere: whether another container may be asked at once, for nothing of the work began.
    """
    message = "The container leaves. Send this again: another one can answer."
    return AgentError(
        HTTPStatus.SERVICE_UNAVAILABLE, "draining", message, retry_after_s=1.0, elsewhere=elsewhere
    )


def gave_up_error(outcome: str | None, error: Exception) -> AgentError | None:
    """Return the error of a model call that was not tried again, though its own error is transient.

    Args:
        outcome: as `contract.RETRY_OUTCOME` says.
        error: of the last attempt.
    """
    found = classify(error)
    told = _GAVE_UP.get(outcome or "")
    if told is None:
        return None
    status, message = told
    if outcome == "deadline":
        return AgentError(status, "deadline", message, retry_after_s=found.retry_after_s)
    return AgentError(status, found.error_type, message, retry_after_s=found.retry_after_s or 1.0)


def as_agent_error(error: Exception) -> AgentError:
    """Return what the caller gets for an exception."""
    if isinstance(error, AgentError):
        return error
    if isinstance(error, EventLoopException):  # Strands' wrapper of what came up in the midst of a turn
        return as_agent_error(error.original_exception)
    if isinstance(error, ClientUnavailableError):
        message = "A client that is needed can't be built. Try again later."
        return AgentError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "client_unavailable",
            message,
            retry_after_s=error.retry_after_s,
            elsewhere=True,
        )
    for kind, row in _BY_CLASS.items():
        if isinstance(error, kind):
            return AgentError(row.status, row.error_type, row.message, retry_after_s=row.retry_after_s)
    return _model_error(error)


class _Row(NamedTuple):
    status: HTTPStatus
    error_type: str
    message: str
    retry_after_s: float | None = None


_BY_CLASS: Final[dict[type[Exception], _Row]] = {
    TimeoutError: _Row(HTTPStatus.GATEWAY_TIMEOUT, "deadline", "The request's deadline is over."),
    ConflictError: _Row(
        HTTPStatus.CONFLICT,
        "session_conflict",
        "Another request of this session finished first, or it was deleted. Send this one again.",
    ),
    ReusedRequestError: _Row(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "request_id_reused",
        "This request id was used for another request of the session.",
    ),
    TurnTooLargeError: _Row(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "turn_too_large",
        f"The prompt is too large to be kept: as JSON, a turn has {MAX_TURN_BYTES} bytes at most.",
    ),
    AnswerTooLargeError: _Row(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "answer_too_large",
        "With what the model and the tools gave, the turn is too large to be kept. The session is as it was"
        " before; what the tools did is done. Ask for less.",
    ),
    TooManyCallsError: _Row(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "too_many_model_calls",
        "The model asks for tools again and again, and gives no answer. The session is as it was before; what"
        " the tools did is done. Ask for less.",
    ),
    SessionError: _Row(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "session_store",
        "The session store can't be reached. Try again later.",
        1.0,
    ),
}
_GAVE_UP: Final = {
    "deadline": (
        HTTPStatus.GATEWAY_TIMEOUT,
        "The model is not available, and the request's deadline leaves no time for a retry.",
    ),
    "answer_begun": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The answer broke off: what came of it is not the whole.",
    ),
    "budget": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The model is not available, and this container has retried too much already.",
    ),
}
_OF_PERMANENT: Final = {
    "content_filter": HTTPStatus.UNPROCESSABLE_ENTITY,
    "context_length_exceeded": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "request_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "RequestEntityTooLargeException": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
"""Permanent errors of the model that the caller can mend; all others are 502."""
CUT: Final = "max_tokens"


def _model_error(error: Exception) -> AgentError:
    found = classify(error)
    if found.internal:
        message = "The agent made a mistake; its log says which."
        return AgentError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", message)
    if found.transient:
        message = "The model is not available now, also after retries."
        return AgentError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            found.error_type,
            message,
            retry_after_s=found.retry_after_s or 1.0,
        )
    if found.unsent:
        message = "The agent can't ask the model as it is set up: its key, its address, or its credentials."
        return AgentError(HTTPStatus.BAD_GATEWAY, found.error_type, message)
    message = "The model refused the request; sending it again gives the same."
    if found.error_type == CUT:
        message = "The model's answer was cut, as it may be no longer; sending it again gives the same."
    status = _OF_PERMANENT.get(found.error_type, HTTPStatus.BAD_GATEWAY)
    return AgentError(status, found.error_type, message)
