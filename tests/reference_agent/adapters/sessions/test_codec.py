"""What a tool gives is what the next turn of the session reads."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference_agent.adapters.sessions.codec import decoded, encoded
from reference_agent.adapters.sessions.protocol import SessionError, Turn, history_of

KEYS = st.sampled_from(["turn", "bytes", "text", "image", "$bytes", "0"])
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("ab\n☃") | st.binary()
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)


@given(st.dictionaries(KEYS, VALUES))
def test_whatever_is_written_is_read_back(content: dict[str, Any]) -> None:
    turn = {"request_id": "r", "messages": [{"role": "user", "content": [content]}], "answer": {}}
    text = encoded(turn)
    assert "\n" not in text
    assert decoded(text) == turn


@pytest.mark.parametrize(
    "block",
    [
        {"image": {"format": "png", "source": {"bytes": b"\x89PNG\x00\xff"}}},
        {"document": {"format": "pdf", "name": "d", "source": {"bytes": b"%PDF"}}},
        {"video": {"format": "mp4", "source": {"bytes": b"\x00"}}},
        {"reasoningContent": {"redactedContent": b"hidden"}},
        {
            "toolResult": {
                "toolUseId": "t",
                "status": "success",
                "content": [{"image": {"source": {"bytes": b""}}}],
            }
        },
    ],
    ids=["image", "document", "video", "hidden reasoning", "within a result"],
)
def test_each_kind_of_block_with_bytes(block: Any) -> None:
    turn = Turn(request_id="r", messages=[{"role": "user", "content": [block]}], answer={"result": "x"})
    messages, answer = turn.encoded()
    history = history_of([messages], 1, answer)
    assert history.messages[0]["content"] == [block]
    assert history.answer == {"result": "x"}


def test_what_json_lacks_becomes_text_instead_of_an_error() -> None:
    day = dt.date(2026, 1, 2)
    turn = {"messages": [{"content": [{"json": {"day": day, 1: (b"a", {2, 1}), "b": bytearray(b"b")}}]}]}
    (message,) = decoded(encoded(turn))["messages"]
    assert message == {"content": [{"json": {"day": "2026-01-02", "1": [b"a", [1, 2]], "b": b"b"}}]}


def test_a_turn_without_bytes_is_written_as_it_always_was() -> None:
    turn = {"request_id": "r", "messages": [], "answer": {}}
    assert json.loads(encoded(turn)) == turn


@pytest.mark.parametrize(
    "text",
    [
        '{"turn":{},"bytes":[[["a"],"?"]]}',
        '{"turn":{},"bytes":[[["a","b"],""]]}',
        '{"turn":[],"bytes":[[[3],""]]}',
        "[]",
    ],
)
def test_what_was_not_written_by_it_is_an_error_of_the_store(text: str) -> None:
    with pytest.raises(SessionError):
        history_of([text], 1, None)
