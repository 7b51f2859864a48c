"""Sessions in one SQLite file, shared by the containers of one machine (WAL mode).

One thread writes; others read, and never wait for it. What is too old is looked for by an index, a few
sessions at a time, so that no append is long.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from reference_agent.adapters.sessions.codec import encoded
from reference_agent.adapters.sessions.protocol import (
    ANSWERS_KEPT,
    DELETED_S,
    ConflictError,
    History,
    SessionError,
    Turn,
    history_of,
)
from reference_agent.threads import DaemonThreads

T = TypeVar("T")
BUSY_S = 20.0
SWITCH_PAUSE_S = 0.02
READERS = 4
FORGET_EVERY = 16
"""One append in so many looks for sessions that are too old,"""
FORGET_MOST = 32
"""and forgets so many of them at most."""
NOTHING = encoded({"messages": [], "keeps": 0})
"""What is left of a deleted session: a turn of no messages, after which none before it counts."""
NO_SESSION = ""
"""An id that no request can have."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    session_id TEXT PRIMARY KEY,
    used_s     REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_age ON sessions (used_s);
CREATE TABLE IF NOT EXISTS turns (
    session_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    messages   TEXT NOT NULL,
    PRIMARY KEY (session_id, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    session_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    answer     TEXT NOT NULL,
    PRIMARY KEY (session_id, version)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_by_request ON answers (session_id, request_id)
"""
LOAD = "SELECT version, messages FROM turns WHERE session_id = ? ORDER BY version DESC LIMIT ?"
ANSWER = "SELECT answer FROM answers WHERE session_id = ? AND request_id = ?"
LAST = "SELECT coalesce(max(version), 0) FROM turns WHERE session_id = ?"
USED = "INSERT INTO sessions VALUES (?, ?) ON CONFLICT DO UPDATE SET used_s = excluded.used_s"
APPEND = "INSERT INTO turns VALUES (?, ?, ?)"
ANSWERED = "INSERT INTO answers VALUES (?, ?, ?, ?)"
TRIM = "DELETE FROM turns WHERE session_id = ? AND version <= ?"
TRIM_ANSWERS = "DELETE FROM answers WHERE session_id = ? AND version <= ?"
OLD = "SELECT session_id FROM sessions WHERE used_s < ? ORDER BY used_s LIMIT ?"
FORGET = (
    "DELETE FROM turns WHERE session_id = ?",
    "DELETE FROM answers WHERE session_id = ?",
    "DELETE FROM sessions WHERE session_id = ?",
)


class SqliteStore:
    """A `SessionStore` in a file. Its calls run on threads of their own, off the event loop.

    Args:
        path: the file; made when it isn't there.
        max_turns: that a session keeps; older ones are forgotten.
        max_age_s: sessions not used for so long are forgotten.
        now: Unix time in seconds.
        pause: blocks the thread for so many seconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_turns: int,
        max_age_s: float,
        now: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._max_turns = max_turns
        self._max_age_s = max_age_s
        self._now = now
        self._pause = pause
        self._appended = 0
        self._refused = False  # by the file, at the last write
        self._writer = DaemonThreads(1, "sessions-write")
        self._readers = DaemonThreads(READERS, "sessions-read")
        self._of_thread = threading.local()

    async def load(self, session_id: str, request_id: str) -> History:
        """Read a session, empty when there is none."""
        await self._writable()
        return await self._run(self._readers, lambda: self._load(session_id, request_id))

    async def append(self, session_id: str, version: int, turn: Turn) -> None:
        """Add a turn after turn `version`."""
        messages, answer = turn.encoded()
        await self._write(lambda: self._append(session_id, version, messages, turn.request_id, answer))

    async def delete(self, session_id: str) -> None:
        """Forget a session."""
        await self._write(lambda: self._in_one(lambda db: self._delete(db, session_id)))

    async def ping(self) -> None:
        """Raise SessionError when the file can't be read, or could not be written and still can't."""
        await self._writable()
        await self._run(self._readers, lambda: self._open().execute("SELECT 1 FROM turns LIMIT 1").fetchone())

    async def reconnect(self) -> None:
        """Do nothing: a file has no connections that could be lost."""

    async def aclose(self) -> None:
        """Let the threads end, and the connections with them."""
        for threads in (self._writer, self._readers):
            threads.shutdown()

    async def _writable(self) -> None:
        """Write, where the last write was refused: a full disk is to be known before the model is paid."""
        if self._refused:
            await self._write(lambda: self._in_one(lambda db: db.execute(USED, (NO_SESSION, self._now()))))

    async def _write(self, work: Callable[[], object]) -> None:
        try:
            await self._run(self._writer, work)
        except SessionError:
            self._refused = True
            raise
        self._refused = False

    async def _run(self, threads: DaemonThreads, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads, self._guarded, work)

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.Error as error:
            self._close()  # the next call opens it anew: the trouble may be over by then
            raise SessionError(f"the session store {self._path} failed: {error}") from error

    def _open(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._of_thread, "db", None)
        if db is None:
            with suppress(OSError):  # what is wrong with it, SQLite says
                self._path.touch(0o600)  # conversations are for this user alone
            # Autocommit but for what says BEGIN.
            db = self._of_thread.db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
            self._write_ahead(db)
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(SCHEMA)
        return db

    def _write_ahead(self, db: sqlite3.Connection) -> None:
        # Of containers that start at once, one switches the file's mode. SQLite tells the others that it is
        # locked without waiting for `timeout`, for it can't wait while it upgrades a lock: so we wait.
        for left in reversed(range(round(BUSY_S / SWITCH_PAUSE_S))):
            try:
                db.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not left:
                    raise
                self._pause(SWITCH_PAUSE_S)
            else:
                return

    def _close(self) -> None:
        db: sqlite3.Connection | None = getattr(self._of_thread, "db", None)
        self._of_thread.db = None
        if db is not None:
            db.close()

    def _load(self, session_id: str, request_id: str) -> History:
        db = self._open()
        db.execute(
            "BEGIN"
        )  # both of one moment: a version with an answer that was not seen would be paid twice
        answered = db.execute(ANSWER, (session_id, request_id)).fetchone()
        rows = db.execute(LOAD, (session_id, self._max_turns)).fetchall()
        db.execute("COMMIT")
        version = rows[0][0] if rows else 0
        return history_of((turn for _, turn in reversed(rows)), version, answered[0] if answered else None)

    def _append(self, session_id: str, version: int, messages: str, request_id: str, answer: str) -> None:
        def write(db: sqlite3.Connection) -> None:
            (last,) = db.execute(LAST, (session_id,)).fetchone()
            if last != version:
                raise ConflictError(f"another request of session {session_id} finished first")
            db.execute(USED, (session_id, self._now()))
            db.execute(APPEND, (session_id, version + 1, messages))
            db.execute(ANSWERED, (session_id, version + 1, request_id, answer))
            db.execute(TRIM, (session_id, version + 1 - self._max_turns))
            db.execute(TRIM_ANSWERS, (session_id, version + 1 - ANSWERS_KEPT))

        self._in_one(write)
        self._appended += 1
        if self._appended % FORGET_EVERY == 0:
            self._in_one(self._forget_old)

    def _delete(self, db: sqlite3.Connection, session_id: str) -> None:
        (last,) = db.execute(LAST, (session_id,)).fetchone()
        _forget(db, session_id)
        db.execute(APPEND, (session_id, last + 1, NOTHING))
        db.execute(USED, (session_id, self._now() - self._max_age_s + DELETED_S))

    def _forget_old(self, db: sqlite3.Connection) -> None:
        for (session_id,) in db.execute(OLD, (self._now() - self._max_age_s, FORGET_MOST)).fetchall():
            _forget(db, session_id)

    def _in_one(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do all of it, or nothing."""
        db = self._open()
        db.execute("BEGIN IMMEDIATE")
        try:
            work(db)
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


def _forget(db: sqlite3.Connection, session_id: str) -> None:
    for statement in FORGET:
        db.execute(statement, (session_id,))
