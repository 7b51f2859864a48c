"""What every session store has to do; each store's tests run all of it."""

import asyncio
import dataclasses

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
    await store.append("s", 7, turn("r7"))


async def an_answer_outlives_its_turn(store: SessionStore) -> None:
    """Expect of a store with `max_turns=3`."""
    for number in range(7):
        await store.append("s", number, turn(f"r{number}"))
    assert [(await store.load("s", f"r{number}")).answer for number in range(7)] == [
        {"result": f"to r{number}"} for number in range(7)
    ]


async def the_oldest_answers_are_forgotten_in_the_end(store: SessionStore) -> None:
    """Expect of a store in whose module `ANSWERS_KEPT` is 5."""
    for number in range(7):
        await store.append("s", number, turn(f"r{number}"))
    answered = [(await store.load("s", f"r{number}")).answer is not None for number in range(7)]
    assert answered == [False] * 2 + [True] * 5


async def an_answer_knows_what_was_asked(store: SessionStore) -> None:
    asked = dataclasses.replace(turn("a"), body_hash="of a")
    await store.append("s", 0, asked)
    assert (await store.load("s", "a")).body_hash == "of a"
    assert (await store.load("s", "b")).body_hash == ""


async def what_a_turn_forgot_is_not_read_again(store: SessionStore) -> None:
    await store.append("s", 0, turn("a", "1", "2"))
    await store.append("s", 1, dataclasses.replace(turn("b", "3", "4"), keeps=1))
    assert words((await store.load("s", "-")).messages) == ["2", "3", "4"]
    await store.append("s", 2, dataclasses.replace(turn("c", "5"), keeps=0))
    assert words((await store.load("s", "-")).messages) == ["5"]


async def a_deleted_session_is_gone_with_its_answers(store: SessionStore) -> None:
    await store.append("s", 0, turn("a"))
    await store.append("other", 0, turn("a"))
    await store.delete("s")
    await store.delete("s")
    gone = await store.load("s", "a")
    assert (list(gone.messages), gone.answer) == ([], None)
    await store.append("s", gone.version, turn("a", "anew"))
    assert words((await store.load("s", "-")).messages) == ["anew"]
    assert (await store.load("other", "a")).version == 1


async def a_deleted_session_is_not_revived_by_what_was_in_work(store: SessionStore) -> None:
    for number, turns in (("first", 0), ("third", 2)):
        for version in range(turns):
            await store.append(number, version, turn(f"r{version}"))
        read = await store.load(number, "r")
        await store.delete(number)
        with pytest.raises(ConflictError):
            await store.append(number, read.version, turn("r"))
        assert list((await store.load(number, "r")).messages) == []


async def a_session_that_is_begun_anew_takes_no_turn_of_the_deleted_one(store: SessionStore) -> None:
    await store.append("s", 0, turn("a"))
    read = await store.load("s", "b")
    for name in ("x", "y"):  # as often as it takes to be as long as it was
        await store.delete("s")
        await store.append("s", (await store.load("s", name)).version, turn(name))
    with pytest.raises(ConflictError):
        await store.append("s", read.version, turn("b"))
    assert words((await store.load("s", "-")).messages) == ["y"]


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
    an_answer_outlives_its_turn,
    an_answer_knows_what_was_asked,
    what_a_turn_forgot_is_not_read_again,
    a_deleted_session_is_gone_with_its_answers,
    a_deleted_session_is_not_revived_by_what_was_in_work,
    a_session_that_is_begun_anew_takes_no_turn_of_the_deleted_one,
    a_turn_too_large_is_refused,
)
