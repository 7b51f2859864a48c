"""What every session store has to do; each store's tests run all of it."""

import asyncio

import pytest

from reference_agent.adapters.sessions.protocol import ConflictError, SessionStore, Turn, TurnTooLargeError


def turn(request_id: str, *words: str) -> Turn:
    said = words or (request_id,)
    return Turn(
        request_id=request_id,
        messages=[{"role": "user", "content": [{"text": word}]} for word in said],
        answer={"result": f"to {request_id}"},
    )


def words(messages: object) -> list[str]:
    assert isinstance(messages, list)
    return [message["content"][0]["text"] for message in messages]


async def turns_come_back_in_order(store: SessionStore) -> None:
    empty = await store.load("s", "a")
    assert (list(empty.messages), empty.version, empty.answer) == ([], 0, None)
    await store.append("s", 0, turn("a", "1", "2"))
    await store.append("s", 1, turn("b", "3 ä 🙂"))
    read = await store.load("s", "c")
    assert (words(read.messages), read.version, read.answer) == (["1", "2", "3 ä 🙂"], 2, None)


async def sessions_are_apart(store: SessionStore) -> None:
    for session in ("s", "S", "s ", "s:turns", "s'; DROP TABLE turns", "{s}"):
        await store.append(session, 0, turn("a", f"of {session}"))
    for session in ("s", "S", "s ", "s:turns", "s'; DROP TABLE turns", "{s}"):
        assert words((await store.load(session, "-")).messages) == [f"of {session}"]


async def a_known_request_has_its_answer(store: SessionStore) -> None:
    await store.append("s", 0, turn("a"))
    await store.append("s", 1, turn("b"))
    assert (await store.load("s", "a")).answer == {"result": "to a"}
    assert (await store.load("other", "a")).answer is None


async def a_turn_after_what_is_no_longer_the_last_is_refused(store: SessionStore) -> None:
    await store.append("s", 0, turn("a"))
    for version in (0, 2):
        with pytest.raises(ConflictError):
            await store.append("s", version, turn("b"))
    assert words((await store.load("s", "-")).messages) == ["a"]


async def of_many_at_once_one_wins_each_round(store: SessionStore) -> None:
    wins = 0
    for attempt in range(5):
        version = (await store.load("s", "-")).version
        results = await asyncio.gather(
            *(store.append("s", version, turn(f"{attempt}-{n}")) for n in range(10)), return_exceptions=True
        )
        wins += results.count(None)
        assert all(result is None or isinstance(result, ConflictError) for result in results)
        assert results.count(None) == 1
    assert (await store.load("s", "-")).version == wins == 5


async def only_the_last_turns_are_kept(store: SessionStore) -> None:
    """Expect of a store with `max_turns=3`."""
    for number in range(7):
        await store.append("s", number, turn(f"r{number}"))
    read = await store.load("s", "r4")
    assert (words(read.messages), read.version) == (["r4", "r5", "r6"], 7)
    assert read.answer == {"result": "to r4"}
    assert (await store.load("s", "r3")).answer is None
    await store.append("s", 7, turn("r7"))


async def a_turn_too_large_is_refused(store: SessionStore) -> None:
    with pytest.raises(TurnTooLargeError):
        await store.append("s", 0, turn("a", "x" * 1_100_000))
    assert (await store.load("s", "a")).version == 0


CHECKS = (
    turns_come_back_in_order,
    sessions_are_apart,
    a_known_request_has_its_answer,
    a_turn_after_what_is_no_longer_the_last_is_refused,
    of_many_at_once_one_wins_each_round,
    only_the_last_turns_are_kept,
    a_turn_too_large_is_refused,
)
