"""Sessions in one SQLite file, shared by the containers of one machine (WAL mode)."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from reference_agent.adapters.sessions.protocol import (
    ConflictError,
    History,
    SessionError,
    Turn,
    history_of,
)

T = TypeVar("T")
BUSY_S = 20.0
SWITCH_PAUSE_S = 0.02
FORGET_EVERY = 256
"""One append in so many looks for sessions that are too old."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS turns (
    session_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    turn       TEXT NOT NULL,
    written_s  REAL NOT NULL,
    PRIMARY KEY (session_id, version)
) WITHOUT ROWID
"""
LOAD = "SELECT version, turn FROM turns WHERE session_id = ? ORDER BY version DESC LIMIT ?"
APPEND = "INSERT INTO turns VALUES (?, ?, ?, ?)"
TRIM = "DELETE FROM turns WHERE session_id = ? AND version <= ?"
FORGET = """
DELETE FROM turns WHERE session_id IN
    (SELECT session_id FROM turns GROUP BY session_id HAVING max(written_s) < ?)
"""


class SqliteStore:
    """A `SessionStore` in a file. Its calls run on a thread of their own, off the event loop.

    Args:
        path: the file; made when it isn't there.
        max_turns: that a session keeps; older ones are forgotten.
        max_age_s: sessions not used for so long are forgotten.
        now: Unix time in seconds.
        pause: blocks the store's thread for so many seconds.
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
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sessions")
        self._db: sqlite3.Connection | None = None

    async def load(self, session_id: str, request_id: str) -> History:
        """Read a session, empty when there is none."""
        return await self._run(lambda: self._load(session_id, request_id))

    async def append(self, session_id: str, version: int, turn: Turn) -> None:
        """Add a turn after turn `version`."""
        await self._run(lambda: self._append(session_id, version, turn.encoded()))

    async def ping(self) -> None:
        """Raise SessionError when the file can't be read."""
        await self._run(lambda: self._open().execute("SELECT 1 FROM turns LIMIT 1").fetchone())

    async def aclose(self) -> None:
        """Close the file."""
        await self._run(self._close)
        self._thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.Error as error:
            self._close()  # the next call opens it anew: the trouble may be over by then
            raise SessionError(f"the session store {self._path} failed: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            # Opened and used by the one thread; autocommit but for what says BEGIN.
            with suppress(OSError):  # what is wrong with it, SQLite says
                self._path.touch(0o600)  # conversations are for this user alone
            self._db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
            self._write_ahead(self._db)
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(SCHEMA)
        return self._db

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
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _load(self, session_id: str, request_id: str) -> History:
        rows = self._open().execute(LOAD, (session_id, self._max_turns)).fetchall()
        version = rows[0][0] if rows else 0
        return history_of([turn for _, turn in reversed(rows)], version, request_id)

    def _append(self, session_id: str, version: int, turn: str) -> None:
        db = self._open()
        db.execute("BEGIN IMMEDIATE")
        (last,) = db.execute(
            "SELECT coalesce(max(version), 0) FROM turns WHERE session_id = ?", (session_id,)
        ).fetchone()
        if last != version:
            db.execute("ROLLBACK")
            raise ConflictError(f"another request of session {session_id} finished first")
        db.execute(APPEND, (session_id, version + 1, turn, self._now()))
        db.execute(TRIM, (session_id, version + 1 - self._max_turns))
        self._appended += 1
        if self._appended % FORGET_EVERY == 0:
            db.execute(FORGET, (self._now() - self._max_age_s,))
        db.execute("COMMIT")
