"""Anthropic's threads: conversations that the server holds, gone on from by the id of their last answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json, to_json

from harness.simulator.wire.anthropic_messages import blocks_of
from harness.simulator.wire.protocol import BadRequestError, ModelAnswer
from harness.simulator.wire.reading import MALFORMED
from harness.simulator.wire.response_store import Remembered, ResponseStore

_OF_THE_THREAD = ("system", "tools")
"""What a thread is begun with; who goes on says nothing of it."""


class Threads:
    """The threads of one simulator, each answer by its id, in bounded memory."""

    def __init__(self) -> None:
        self._store = ResponseStore()

    def whole(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a request with all that was said before it, where it goes on with a thread.

        Raises:
            BadRequestError: there is no such thread, or it is asked for in a wrong way.
        """
        match record.get("thread"):
            case None | {"type": "create"}:
                return record
            case {"type": "continue", "previous_message_id": str(name)}:
                return self._continued(record, name)
        raise BadRequestError(
            "thread: Input should be {'type': 'create'} or {'type': 'continue', 'previous_message_id': ...}"
        )

    def _continued(self, record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        kept = self._store.get(name)
        if kept is None:
            raise BadRequestError(
                f"thread: no Thread state was found for `previous_message_id` {name:.80}",
                code="thread_not_found",
                status=404,
                kind="not_found_error",
            )
        for field in _OF_THE_THREAD:
            if record.get(field) is not None:
                raise BadRequestError(f"{field}: is the thread's, and must not be sent when it is continued")
        before = from_json(kept.items)
        try:
            return {**record, **before, "messages": [*before["messages"], *record["messages"]]}
        except MALFORMED as error:
            raise BadRequestError("messages: Input should be a valid list") from error

    def keep(self, answer: ModelAnswer) -> None:
        """Hold a conversation up to an answer, where its request asked for that."""
        asked: Mapping[str, Any] | None = answer.request.extra
        if asked is None:
            return
        said = {"role": "assistant", "content": blocks_of(answer)}
        held = {name: asked[name] for name in _OF_THE_THREAD if name in asked}
        items = to_json(held | {"messages": [*asked["messages"], said]})
        self._store.keep(f"msg_{answer.call_id}", Remembered(items, b""))
