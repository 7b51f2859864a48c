"""The OpenAI client's chat completions at half their CPU.

The SDK walks through every message of a request to rename keys that need no renaming, and builds
typed objects of every chunk of an answer: more than half of a turn's CPU, and for a long history a
pause of the event loop. Strands needs neither: it hands over plain JSON, and reads a few attributes.
Authentication, timeouts, errors and streaming stay the SDK's own, by its public `post`.
"""

from __future__ import annotations

from typing import Any, Final, Self

from openai import AsyncOpenAI, AsyncStream

from reference_agent.adapters.errors import MalformedAnswerError
from reference_agent.history import mended

PATH = "/chat/completions"
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
        return _answer(await self._client.post(PATH, body=body, cast_to=object))


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

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Answer:
        return _answer(await anext(self._chunks))


def _answer(data: object) -> Answer:
    if not isinstance(data, dict):
        raise MalformedAnswerError("the model's answer is not a JSON object")
    return Answer(data)


def _with_attributes(value: Any) -> Any:
    if isinstance(value, dict):
        return Answer(value)
    if isinstance(value, list):
        return [_with_attributes(item) for item in value]
    return value
