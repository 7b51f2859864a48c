import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from harness.clock import FakeClock
from reference_agent.adapters.sessions.protocol import DELETED_S, ConflictError, SessionError, SessionStore
from reference_agent.adapters.sessions.sqlite import (
    ANSWER,
    FORGET_EVERY,
    FORGET_MOST,
    OLD,
    SWITCH_PAUSE_S,
    SqliteStore,
)
from tests.reference_agent.adapters.sessions.contract import (
    CHECKS,
    the_oldest_answers_are_forgotten_in_the_end,
    turn,
    words,
)
from tests.reference_agent.rig import run

DAY_S = 86_400.0


def store(path: Path, clock: FakeClock | None = None) -> SqliteStore:
    return SqliteStore(path, max_turns=3, max_age_s=DAY_S, now=(clock or FakeClock()).now)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_does_what_every_store_does(
    check: Callable[[SessionStore], Awaitable[None]], tmp_path: Path
) -> None:
    async def work() -> None:
        opened = store(tmp_path / "s.db")
        await check(opened)
        await opened.aclose()

    run(work())


def test_containers_share_one_file(tmp_path: Path) -> None:
    async def work() -> None:
        one, two = store(tmp_path / "s.db"), store(tmp_path / "s.db")
        await one.append("s", 0, turn("a"))
        assert words((await two.load("s", "-")).messages) == ["a"]
        await two.append("s", 1, turn("b"))
        with pytest.raises(ConflictError):
            await one.append("s", 1, turn("c"))
        assert words((await one.load("s", "-")).messages) == ["a", "b"]
        await asyncio.gather(one.aclose(), two.aclose())

    run(work())


def test_a_turn_that_comes_while_a_session_is_read_is_seen_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version without its answer would let the same request be paid, and written, a second time."""
    connect = sqlite3.connect

    class Interrupted(sqlite3.Connection):
        @override
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            cursor = super().execute(sql, *parameters)
            if sql == ANSWER:
                monkeypatch.setattr(sqlite3, "connect", connect)
                run(append(store(tmp_path / "s.db")))
            return cursor

    async def append(other: SqliteStore) -> None:
        await other.append("s", 0, turn("r1"))
        await other.aclose()

    async def work() -> None:
        first, then = store(tmp_path / "s.db"), store(tmp_path / "s.db")
        monkeypatch.setattr(sqlite3, "connect", partial(connect, factory=Interrupted))
        before = await first.load("s", "r1")
        assert (before.version, before.answer) == (0, None)
        after = await then.load("s", "r1")
        assert (after.version, after.answer) == (1, turn("r1").answer)
        await asyncio.gather(first.aclose(), then.aclose())

    run(work())


def test_containers_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        stores = [store(tmp_path / "s.db") for _ in range(4)]
        jobs = [
            opened.append(f"s{n}-{k}", 0, turn("a")) for n, opened in enumerate(stores) for k in range(25)
        ]
        await asyncio.gather(*jobs)
        versions = [(await stores[0].load(f"s{n}-{k}", "-")).version for n in range(4) for k in range(25)]
        assert versions == [1] * 100
        await asyncio.gather(*(opened.aclose() for opened in stores))

    run(work())


def test_a_container_that_starts_while_another_switches_the_mode_waits_for_it(tmp_path: Path) -> None:
    async def work() -> None:
        other = sqlite3.connect(tmp_path / "s.db", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")  # as one does that switches
        waits: list[float] = []

        def pause(wait_s: float) -> None:
            waits.append(wait_s)
            if len(waits) == 3:
                other.execute("COMMIT")

        opened = SqliteStore(tmp_path / "s.db", max_turns=3, max_age_s=DAY_S, pause=pause)
        await opened.ping()
        assert waits == [SWITCH_PAUSE_S] * 3
        await opened.aclose()
        other.close()

    run(work())


def test_it_writes_ahead(tmp_path: Path) -> None:
    async def work() -> None:
        opened = store(tmp_path / "s.db")
        await opened.ping()
        with sqlite3.connect(tmp_path / "s.db") as other:
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other.close()
        await opened.aclose()

    run(work())


def test_sessions_nobody_came_back_to_are_forgotten(tmp_path: Path) -> None:
    clock = FakeClock()

    async def work() -> None:
        opened = store(tmp_path / "s.db", clock)
        await opened.append("old", 0, turn("a"))
        await opened.append("used", 0, turn("a"))
        clock.advance(DAY_S - 1)
        await opened.append("used", 1, turn("b"))
        clock.advance(2)
        for number in range(FORGET_EVERY):
            await opened.append(f"s{number}", 0, turn("a"))
        assert (await opened.load("old", "-")).version == 0
        assert (await opened.load("used", "-")).version == 2
        await opened.aclose()

    run(work())


def test_the_number_of_a_deleted_session_is_kept_until_nothing_can_be_in_work_any_more(
    tmp_path: Path,
) -> None:
    clock = FakeClock()

    async def appends(opened: SqliteStore, name: str) -> int:
        for number in range(FORGET_EVERY):
            await opened.append(f"{name}{number}", 0, turn("a"))
        return (await opened.load("s", "-")).version

    async def work() -> None:
        opened = store(tmp_path / "s.db", clock)
        await opened.delete("s")
        clock.advance(DELETED_S - 1)
        assert await appends(opened, "before") == 1
        clock.advance(2)
        assert await appends(opened, "after") == 0
        await opened.aclose()

    run(work())


def test_a_file_that_cannot_be_opened_is_said_and_tried_again(tmp_path: Path) -> None:
    async def work() -> None:
        opened = store(tmp_path / "later" / "s.db")
        for _ in range(2):
            with pytest.raises(SessionError, match=r"later/s\.db"):
                await opened.ping()
        (tmp_path / "later").mkdir()
        await opened.ping()
        await opened.append("s", 0, turn("a"))
        await opened.aclose()

    run(work())


def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(b"no database at all" * 100)

    async def work() -> None:
        opened = store(tmp_path / "s.db")
        with pytest.raises(SessionError):
            await opened.load("s", "-")
        await opened.aclose()

    run(work())


def test_a_turn_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    async def work() -> None:
        opened = store(tmp_path / "s.db")
        await opened.append("s", 0, turn("a"))
        with sqlite3.connect(tmp_path / "s.db") as other:
            other.execute("UPDATE turns SET messages = '{'")
        other.close()
        with pytest.raises(SessionError, match="can't be read"):
            await opened.load("s", "-")
        await opened.aclose()

    run(work())


def test_a_crash_between_two_statements_leaves_no_half_turn(tmp_path: Path) -> None:
    async def work() -> None:
        opened = store(tmp_path / "s.db")
        await opened.append("s", 0, turn("a"))
        with sqlite3.connect(tmp_path / "s.db") as other:
            other.execute(
                "CREATE TRIGGER broken BEFORE DELETE ON turns BEGIN SELECT RAISE(FAIL, 'broken'); END"
            )
        other.close()
        await opened.append("s", 1, turn("b"))
        await opened.append("s", 2, turn("c"))
        with pytest.raises(SessionError, match="broken"):  # the fourth turn trims, and fails after its INSERT
            await opened.append("s", 3, turn("d"))
        assert (await opened.load("s", "-")).version == 3
        await opened.aclose()

    run(work())


def test_reads_and_readiness_wait_for_no_append(tmp_path: Path) -> None:
    async def work() -> None:
        opened = store(tmp_path / "s.db")
        await opened.append("s", 0, turn("a"))
        other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        appending = asyncio.create_task(opened.append("s", 1, turn("b")))
        for _ in range(3):
            assert (await opened.load("s", "-")).version == 1
            await opened.ping()
        assert not appending.done()
        other.execute("COMMIT")
        await appending
        assert (await opened.load("s", "-")).version == 2
        await opened.aclose()
        other.close()

    run(work())


def test_sessions_that_are_too_old_are_found_by_an_index_and_a_few_at_a_time(tmp_path: Path) -> None:
    clock = FakeClock()

    async def work() -> None:
        opened = store(tmp_path / "s.db", clock)
        for number in range(2 * FORGET_MOST):
            await opened.append(f"old-{number}", 0, turn("a"))
        clock.advance(DAY_S + 1)
        with sqlite3.connect(tmp_path / "s.db") as db:
            plan = str(db.execute(f"EXPLAIN QUERY PLAN {OLD}", (0, 0)).fetchall())
            assert "USING COVERING INDEX sessions_by_age" in plan
            left = []
            for number in range(2 * FORGET_EVERY):
                await opened.append(f"new-{number}", 0, turn("a"))
                left.append(db.execute("SELECT count(*) FROM turns WHERE session_id LIKE 'old-%'").fetchone())
        db.close()
        assert sorted(set(left), reverse=True) == [(2 * FORGET_MOST,), (FORGET_MOST,), (0,)]
        await opened.aclose()

    run(work())


def test_a_session_has_no_more_answers_than_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reference_agent.adapters.sessions.sqlite.ANSWERS_KEPT", 5)

    async def work() -> None:
        opened = store(tmp_path / "s.db")
        await the_oldest_answers_are_forgotten_in_the_end(opened)
        await opened.aclose()

    run(work())


def test_a_file_that_refused_a_write_is_known_before_the_next_turn(tmp_path: Path) -> None:
    async def work() -> None:
        opened = store(tmp_path / "s.db")
        await opened.append("s", 0, turn("a"))
        with contextlib.closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
            full = "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
            other.execute(f"CREATE TRIGGER no_room BEFORE INSERT ON sessions {full}")
            with pytest.raises(SessionError):
                await opened.append("s", 1, turn("b"))
            for again in (opened.ping(), opened.load("s", "-"), opened.ping()):
                with pytest.raises(SessionError, match="full"):
                    await again
            other.execute("DROP TRIGGER no_room")
        await opened.ping()
        assert words((await opened.load("s", "-")).messages) == ["a"]
        await opened.append("s", 1, turn("b"))
        await opened.aclose()

    run(work())
