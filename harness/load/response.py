"""Whether an answer is what the caller asked for, judged by status and body alone; and what it recalls."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from harness.outside.text import parse_json
from harness.simulator_config import CANARY

EVENT_STREAM = "text/event-stream"
SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an answer counts as an error.

    Attributes:
        error: in words.
        error_type: the agent's own `error_type`, or a short name of ours.
    """

    error: str
    error_type: str | None


def failure_of(status: int, content_type: str, body: bytes, answer_field: str = "") -> Failure | None:
    """Return what is wrong with an answer, None for a success.

    A success is a 200 with a JSON value, or with server-sent events of which the last
    is JSON, that has no `error` in it.

    Args:
        status: HTTP status.
        content_type: of the answer; may be empty.
        body: whole.
        answer_field: key of the answer's text, without which it is none; empty when any JSON will do.
    """
    said = _last_value(content_type, body)
    problem = said.get("error") if isinstance(said, dict) else None
    error_type = said.get("error_type") if isinstance(said, dict) else None
    if status != HTTPStatus.OK:
        return Failure(
            error=f"HTTP {status}: {_shown(problem, body)}", error_type=_text(error_type) or f"http_{status}"
        )
    if said is _UNREADABLE:
        return Failure(error=f"HTTP 200 that is not JSON: {_shown(None, body)}", error_type="not_json")
    if problem:
        return Failure(
            error=f"HTTP 200 with an error: {_shown(problem, body)}", error_type=_text(error_type) or "error"
        )
    if answer_field and not (isinstance(said, dict) and said.get(answer_field)):
        return Failure(error=f"HTTP 200 without {answer_field}: {_shown(None, body)}", error_type="no_answer")
    return None


def recalled_in(body: bytes) -> tuple[str, ...]:
    """Return the canary words of an answer, wherever in it they stand, each as often as it does."""
    return tuple(CANARY.findall(body.decode(errors="replace")))


_UNREADABLE = object()


def _last_value(content_type: str, body: bytes) -> Any:
    if content_type.startswith(EVENT_STREAM):
        events = [line[5:] for line in body.splitlines() if line.startswith(b"data:")]
        body = events[-1] if events else b""
    try:
        return parse_json(body)
    except ValueError:
        return _UNREADABLE


def _text(value: Any) -> str | None:
    """Return what says something; half a character, which JSON may escape but no file can hold, as `?`."""
    return value.encode(errors="replace").decode() if isinstance(value, str) and value else None


def _shown(problem: Any, body: bytes) -> str:
    text = _text(problem) or body.decode(errors="replace") or "(empty body)"
    return text[:SHOWN_CHARS]
