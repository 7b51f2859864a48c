"""What the simulated model says: made of the call's hash, so that it is the same each time.

It never repeats a prompt, with one exception that checks of session isolation live by: asked for
its canary words, it lists every `CANARY-...` that the user told in the conversation, as often as it
was told: so an answer shows which turns an agent had before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic_core import to_json

from harness.simulator.json_sample import sample
from harness.simulator_config import CANARY

ASKED_FOR_CANARIES = "canary words"
_SENTENCE = (
    "the agent container keeps no state and so any other one may answer next while its clients stay warm "
    "for those who come after it with a question about load queues tails tokens traces or time"
)
_WORDS = [f" {word}" for word in _SENTENCE.split()]
_COUNT = len(_WORDS)
CHARS_PER_TOKEN = 4


def words(call_id: str, count: int, question: str, user_texts: Sequence[str]) -> list[str]:
    """Return an answer in `count` pieces, each with its leading space but the first.

    Args:
        call_id: hex digits that the words are chosen by.
        count: how many.
        question: what the user said last.
        user_texts: what the user said so far, oldest first.
    """
    if ASKED_FOR_CANARIES in question.lower():
        return [", ".join(word for text in user_texts for word in CANARY.findall(text)) or "None."]
    seed = int(call_id, 16)
    chosen = [_WORDS[(seed >> (k % 12) * 5) % _COUNT - k % 7] for k in range(count)]
    return [chosen[0][1:].capitalize(), *chosen[1:]]


def json_of(schema: Any, call_id: str) -> str:
    """Return JSON that satisfies a schema; hex digits of `call_id` choose what it says."""
    return to_json(sample(schema if isinstance(schema, dict) else {}, call_id)).decode()


def stopped(pieces: Sequence[str], stops: Sequence[str]) -> tuple[list[str], str] | None:
    """Return an answer up to the first of some sequences that is said, and that; None when none is.

    The last piece is the one that completes the sequence, though nothing of it may be left.

    Args:
        pieces: of the whole answer.
        stops: that end it; an empty one ends nothing.
    """
    text = "".join(pieces)
    ends = [(at + len(stop), -len(stop), stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    if not ends:
        return None
    end, length, stop = min(ends)
    kept: list[str] = []
    left, passed = end + length, 0
    for piece in pieces:
        kept.append(piece[: max(0, left - passed)])
        passed += len(piece)
        if passed >= end:
            break
    return kept, stop


def cut(text: str, count: int) -> list[str]:
    """Cut a text into pieces of the same length, `count` at most."""
    size = max(1, -(-len(text) // count))
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]


def tokens_in(texts: Sequence[str]) -> int:
    """Estimate the tokens of some texts: four characters each."""
    return max(1, sum(map(len, texts)) // CHARS_PER_TOKEN)
