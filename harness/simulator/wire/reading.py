"""How requests are read, whatever the protocol: refused with a reason, never with an exception of Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from harness.simulator import draws
from harness.simulator.wire.protocol import BadRequestError, Received

MOST_TOKENS = 1_000_000
LONGEST_MODEL = 256
MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError)
"""What reading an invalid body raises."""


def load(body: bytes) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BadRequestError: it is not one.
    """
    try:
        value = from_json(body)
    except MALFORMED as error:
        raise BadRequestError("the body is not JSON") from error
    if not isinstance(value, dict):
        raise BadRequestError("the body must be a JSON object")
    return value


def checked_model(model: Any) -> str:
    """Return a model's name that is fit for logs and labels.

    Raises:
        BadRequestError: it is not.
    """
    if not isinstance(model, str) or not 0 < len(model) <= LONGEST_MODEL or not model.isprintable():
        message = f"model must be a printable string of 1 to {LONGEST_MODEL} characters"
        raise BadRequestError(message, param="model")
    return model


def name_of_call(model: str, messages: Any) -> str:
    """Name a call by what is asked.

    Raises:
        BadRequestError: it is nested too deep to be read.
    """
    try:
        return draws.call_id(model, messages)
    except MALFORMED as error:
        raise BadRequestError("the messages are nested too deep") from error


def checked_max_tokens(value: Any, name: str = "max_tokens", least: int = 1) -> int | None:
    """Return how many tokens the answer may have, None when nothing is said.

    Raises:
        BadRequestError: it is not a whole number within bounds.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MOST_TOKENS:
        raise BadRequestError(f"{name} must be a whole number from {least} to {MOST_TOKENS}", param=name)
    return value


def checked_stops(value: Any, name: str, most: int) -> Sequence[str]:
    """Return the sequences that end an answer's text.

    Args:
        value: a list of texts, or nothing.
        name: of the field.
        most: how many there may be.

    Raises:
        BadRequestError: it is something else, or too much.
    """
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(stop, str) for stop in value):
        raise BadRequestError(f"Invalid type for '{name}': expected an array of strings.", param=name)
    if len(value) > most:
        message = (
            f"Invalid '{name}': array too long. Expected an array with maximum length {most}, but got an "
            f"array with length {len(value)} instead."
        )
        raise BadRequestError(message, param=name, code="array_above_max_length")
    return value


def check_number(record: Mapping[str, Any], name: str, most: float, least: float = 0) -> None:
    """Refuse a field that is there and no number within bounds.

    Raises:
        BadRequestError: it is not.
    """
    value = record.get(name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequestError(f"Invalid type for '{name}': expected a number.", param=name)
    if not least <= value <= most:
        raise BadRequestError(f"Invalid '{name}': {value} is not between {least:g} and {most:g}.", param=name)


def checked_stream(record: Mapping[str, Any]) -> bool:
    """Return whether a stream is asked for.

    Raises:
        BadRequestError: that is neither said nor denied.
    """
    stream = record.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequestError("Invalid type for 'stream': expected a boolean.", param="stream")
    return bool(stream)


def check_roles(roles: Iterable[Any], known: Collection[str], where: str = "messages") -> None:
    """Refuse a role that there is none of.

    Raises:
        BadRequestError: names it, and those that there are.
    """
    for number, role in enumerate(roles):
        if role not in known:
            told = ", ".join(f"'{name}'" for name in known)
            param = f"{where}[{number}].role"
            raise BadRequestError(f"Invalid value: {role!r:.50}. Supported values are: {told}.", param=param)


def texts_of(content: Any) -> Iterator[str]:
    """Yield the texts of a message: a string, or blocks of which some have a `text`."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        yield from (block["text"] for block in content if isinstance(block.get("text"), str))


def user_texts_of(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the texts of the user's messages, oldest first."""
    return [text for each in messages if each.get("role") == "user" for text in texts_of(each.get("content"))]


def last_user_text(messages: Sequence[Mapping[str, Any]], result_key: str) -> tuple[str, int]:
    """Return what the user said last, and how many tool results came after it.

    For protocols in which a tool's result is a block of a user's message.

    Args:
        messages: with `role` and `content`.
        result_key: what tells a block that is a result: its `type`, or a key that it has.
    """
    results = 0
    for message in reversed(messages):
        content = message["content"]
        blocks = content if isinstance(content, list) else []
        results += sum(block.get("type") == result_key or result_key in block for block in blocks)
        text = " ".join(texts_of(content))
        if message["role"] == "user" and text:
            return text, results
    return "", results


def twice(names: Iterable[str]) -> list[str]:
    """Return the names that stand there more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def bearer(headers: Received) -> str:
    """Return the token of an `Authorization: Bearer`, empty without one."""
    told = headers.get(b"authorization", b"")
    return told[7:].strip().decode("latin-1") if told[:7].lower() == b"bearer " else ""
