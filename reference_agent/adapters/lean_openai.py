"""The OpenAI client's chat completions at half their CPU.

The SDK walks through every message of a request to rename keys that need no renaming, and builds
typed objects of every chunk of an answer: more than half of a turn's CPU, and for a long history a
pause of the event loop. Strands needs neither: it hands over plain JSON, and reads a few attributes.
Authentication, timeouts, errors and streaming stay the SDK's own, by its public `post`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final, Self

from openai import AsyncOpenAI, AsyncStream

from reference_agent.adapters.errors import MalformedAnswerError
from reference_agent.history import mended

PATH = "/chat/completions"
TEXTS: Final = ("content", "reasoning_content")
TEXT: Final = (str, type(None))
MOST_TOKENS: Final = 2**53
"""More can't be true, and not every reader of metrics and spans could hold it."""
FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "eos": "stop",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "function_call": "tool_calls",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "safety": "content_filter",
    "refusal": "content_filter",
    "recitation": "content_filter",
}
"""What gateways let through of the models behind them, in the words of the API that they speak."""


class LeanClient:
    """What Strands' `OpenAIModel` needs of a client: `chat.completions.create`.

    Args:
        client: sends.
    """

    def __init__(self, client: AsyncOpenAI) -> None:
        self._client = client

    @property
    def chat(self) -> Self:
        """Itself."""
        return self

    @property
    def completions(self) -> Self:
        """Itself."""
        return self

    async def create(self, *, stream: bool, **body: Any) -> Answer | Answers:
        """Ask for an answer, or for a stream of its chunks.

        Raises:
            openai.APIError: as the SDK's own method does.
        """
        body["stream"] = stream
        try:
            return await self._create(body, stream=stream)
        except UnicodeEncodeError:  # half of a surrogate pair, from an earlier answer or from a tool
            return await self._create(mended(body), stream=stream)

    async def _create(self, body: dict[str, Any], *, stream: bool) -> Answer | Answers:
        if stream:
            chunks = await self._client.post(
                PATH, body=body, cast_to=object, stream=True, stream_cls=AsyncStream[object]
            )
            return Answers(chunks)
        return _answer(await self._client.post(PATH, body=body, cast_to=object), _ToolCalls())


class Answer:
    """A JSON object whose members are attributes; None where there is none."""

    __slots__ = ("_members",)

    def __init__(self, members: dict[str, Any]) -> None:
        self._members = members

    def __getattr__(self, name: str) -> Any:
        return _with_attributes(self._members.get(name))

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ends; None while it doesn't."""
        told = self._members.get("finish_reason")
        return FINISH_REASONS.get(told.lower(), told) if isinstance(told, str) else None


class Answers:
    """A stream of answers, read piece by piece."""

    def __init__(self, chunks: AsyncStream[object]) -> None:
        self._chunks = chunks
        self._calls = _ToolCalls()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Answer:
        return _answer(await anext(self._chunks), self._calls)


class _ToolCalls:
    """Tells the tool calls of an answer apart, where a gateway doesn't: two taken for one lose what both ask.

    Some give them no number, or all the same; some no id; and some give what a call is to be made with as an
    object, not as its JSON.
    """

    def __init__(self) -> None:
        self._last: dict[int | None, tuple[int, str]] = {}
        self._begun = 0

    def tell_apart(self, calls: list[dict[str, Any]]) -> None:
        for call in calls:
            index, given, function = call.get("index"), call.get("id"), call.get("function") or {}
            call["function"], index = function, index if isinstance(index, int) else None
            arguments = function.get("arguments")
            if isinstance(arguments, Mapping):
                function["arguments"] = json.dumps(arguments)
            last, name = self._last.get(index), function.get("name")
            # A name comes with the first piece of a call; some give a new id with each of its pieces.
            if last is None or (name and (given != last[1] if given else index is None)):
                last = self._last[index] = self._begun, given or f"call_{uuid.uuid4().hex}"
                self._begun += 1
                call["id"] = last[1]
            call["index"] = last[0]


def _answer(data: object, calls: _ToolCalls) -> Answer:
    if not isinstance(data, dict):
        raise MalformedAnswerError("the model's answer is not a JSON object")
    choices = data.get("choices")
    if choices is not None and not (isinstance(choices, list) and all(map(_is_choice, choices))):
        raise MalformedAnswerError("the model's answer has choices of another form")
    for choice in choices or ():
        if asked := choice.get("delta", choice.get("message")).get("tool_calls"):
            calls.tell_apart(asked)
    if data.get("usage") is not None:
        data["usage"] = _usage(data["usage"])
    return Answer(data)


def _is_choice(choice: object) -> bool:
    if not isinstance(choice, dict):
        return False
    if "message" not in choice and choice.get("delta") is None:
        choice["delta"] = {}  # a gateway that has nothing to add, such as what a filter found
    part = choice.get("delta", choice.get("message"))
    if not isinstance(part, dict):
        return False
    for name in TEXTS:  # of each chunk of a stream: a loop costs a third of `all` of a generator
        if not isinstance(part.get(name), TEXT):
            return False
    return part.get("tool_calls") is None or _are_calls(part["tool_calls"])


def _are_calls(calls: object) -> bool:
    return isinstance(calls, list) and all(
        isinstance(call, dict)
        and isinstance(call.get("id"), TEXT)
        and isinstance(function := call.get("function") or {}, dict)
        and isinstance(function.get("name"), TEXT)
        and isinstance(function.get("arguments"), str | Mapping | None)
        for call in calls
    )


def _usage(told: object) -> dict[str, Any] | None:
    """Return the tokens of an answer, None where they can't be counted: the answer counts without."""
    if not isinstance(told, dict):
        return None
    counts = [told.get("prompt_tokens"), told.get("completion_tokens")]
    if not all(type(count) is int and 0 <= count <= MOST_TOKENS for count in counts):
        return None
    return {**told, "total_tokens": sum(counts)}


def _with_attributes(value: Any) -> Any:
    if isinstance(value, dict):
        return Answer(value)
    if isinstance(value, list):
        return [_with_attributes(item) for item in value]
    return value
