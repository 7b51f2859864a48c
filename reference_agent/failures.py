"""What a caller is told when a request fails: one table from exceptions to HTTP."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from starlette.responses import JSONResponse

from reference_agent.adapters.errors import sort
from reference_agent.adapters.sessions.protocol import ConflictError, SessionError, TurnTooLargeError
from reference_agent.patterns.client_cache import ClientUnavailableError

CONFLICT, TOO_LARGE, INTERNAL, UPSTREAM_FAILED, UNAVAILABLE, TOO_LATE = 409, 413, 500, 502, 503, 504
STATUS_OF = {
    "content_filter": 422,
    "context_length_exceeded": TOO_LARGE,
    "request_too_large": TOO_LARGE,
    "RequestEntityTooLargeException": TOO_LARGE,
}
"""Permanent errors of the model that the caller can mend; all others are 502."""
logger = logging.getLogger(__name__)


class AgentError(Exception):
    """A failure as the caller is told: nothing of the prompt, of keys, or of the provider's words.

    Attributes:
        status: of HTTP.
        error_type: a short stable name.
        retry_after_s: when it may be worth another try.
    """

    def __init__(
        self, status: int, error_type: str, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, str]:
        """Return what the caller is sent."""
        return {"error": str(self), "error_type": self.error_type, "message": str(self)}

    def response(self, headers: Mapping[str, str]) -> JSONResponse:
        """Return the whole answer, with `headers`."""
        if self.retry_after_s is not None:  # whole seconds, rounded up, as HTTP has it
            headers = {**headers, "retry-after": str(math.ceil(self.retry_after_s))}
        return JSONResponse(self.body(), self.status, headers=headers)


@contextmanager
def told_as_agent_error() -> Iterator[None]:
    """Turn whatever goes wrong into what the caller is told.

    Raises:
        AgentError: in place of any other exception.
    """
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except Exception as error:
        told = as_agent_error(error)
        cause = error if told.status == INTERNAL else None
        kind = type(error.__cause__ or error).__name__  # never its words: they may be a prompt's, or a key
        logger.warning("request failed: %s (%d), %s", told.error_type, told.status, kind, exc_info=cause)
        raise told from error


def leaving() -> AgentError:
    """Return what a caller is told whose request took longer than the container's last seconds."""
    message = "The container leaves. Send this again: another one can answer."
    return AgentError(UNAVAILABLE, "draining", message, retry_after_s=1.0)


def as_agent_error(error: Exception) -> AgentError:
    """Return what the caller is told of an error."""
    if isinstance(error, AgentError):
        return error
    if isinstance(error, ClientUnavailableError):
        message = "A client that is needed can't be built. Try again later."
        return AgentError(UNAVAILABLE, "client_unavailable", message, retry_after_s=error.retry_after_s)
    for kind, (status, error_type, message, retry_after_s) in _TOLD.items():
        if isinstance(error, kind):
            return AgentError(status, error_type, message, retry_after_s=retry_after_s)
    return _model_error(error)


_TOLD: dict[type[Exception], tuple[int, str, str, float | None]] = {
    TimeoutError: (TOO_LATE, "deadline", "The request's deadline is over.", None),
    ConflictError: (
        CONFLICT,
        "session_conflict",
        "Another request of this session finished first. Send this one again.",
        None,
    ),
    TurnTooLargeError: (TOO_LARGE, "turn_too_large", "The turn is too large to be kept.", None),
    SessionError: (
        UNAVAILABLE,
        "session_store",
        "The session store can't be reached. Try again later.",
        1.0,
    ),
}


def _model_error(error: Exception) -> AgentError:
    found = sort(error)
    if found.ours:
        return AgentError(INTERNAL, "internal", "The agent made a mistake; its log says which.")
    if found.transient:
        message = "The model is not available now, also after retries."
        return AgentError(UNAVAILABLE, found.error_type, message, retry_after_s=found.retry_after_s or 1.0)
    message = "The model refused the request; sending it again gives the same."
    return AgentError(STATUS_OF.get(found.error_type, UPSTREAM_FAILED), found.error_type, message)
