"""Sessions in one SQLite file, shared by the containers of one machine (WAL mode)."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from reference_agent.adapters.sessions.protocol import ConflictError, History, SessionError, Turn

T = TypeVar("T")
BUSY_S = 5.0
FORGET_EVERY = 256
"""One append in so many looks for sessions that are too old."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS turns (
    session_id TEXT NOT NULL,
    version    INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    messages   TEXT NOT NULL,
    answer     TEXT NOT NULL,
    written_s  REAL NOT NULL,
    PRIMARY KEY (session_id, version),
    UNIQUE (session_id, request_id)
) WITHOUT ROWID
"""
LOAD = "SELECT version, request_id, messages, answer FROM turns WHERE session_id = ? ORDER BY version"
FORGET = """
DELETE FROM turns WHERE session_id IN
    (SELECT session_id FROM turns GROUP BY session_id HAVING max(written_s) < ?)
"""


class SqliteStore:
    """A `SessionStore` in a file. Its calls run on a thread of their own, off the event loop.

    Args:
        path: the file; made when it isn't there.
        max_age_s: sessions not used for so long are forgotten.
        now: Unix time in seconds.

    Raises:
        SessionError: the file can't be opened.
    """

    def __init__(self, path: Path, *, max_age_s: float, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._max_age_s = max_age_s
        self._now = now
        self._appended = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sessions")
        self._db: sqlite3.Connection | None = None

    async def load(self, session_id: str, request_id: str) -> History:
        """Read a session, empty when there is none."""
        return await self._run(lambda: self._load(session_id, request_id))

    async def append(self, session_id: str, version: int, turn: Turn) -> None:
        """Add a turn after turn `version`."""
        await self._run(lambda: self._append(session_id, version, turn))

    async def ping(self) -> None:
        """Raise SessionError when the file can't be read."""
        await self._run(lambda: self._open().execute("SELECT 1 FROM turns LIMIT 1").fetchone())

    async def aclose(self) -> None:
        """Close the file."""
        await self._run(self._close)
        self._thread.shutdown()

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (sqlite3.Error, ValueError, KeyError) as error:
            raise SessionError(f"the session store {self._path} failed: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            # Opened and used by the one thread; autocommit, for each statement is a whole transaction.
            db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute(SCHEMA)
            self._db = db
        return self._db

    def _close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _load(self, session_id: str, request_id: str) -> History:
        rows = self._open().execute(LOAD, (session_id,)).fetchall()
        return History(
            messages=[message for row in rows for message in json.loads(row[2])],
            version=rows[-1][0] if rows else 0,
            answer=next((json.loads(row[3]) for row in rows if row[1] == request_id), None),
        )

    def _append(self, session_id: str, version: int, turn: Turn) -> None:
        row = (
            session_id,
            version + 1,
            turn.request_id,
            json.dumps(turn.messages, separators=(",", ":")),
            json.dumps(turn.answer, separators=(",", ":")),
            self._now(),
        )
        try:
            self._open().execute("INSERT INTO turns VALUES (?, ?, ?, ?, ?, ?)", row)
        except sqlite3.IntegrityError as error:
            raise ConflictError(f"another request of session {session_id} finished first") from error
        self._appended += 1
        if self._appended % FORGET_EVERY == 0:
            self._open().execute(FORGET, (self._now() - self._max_age_s,))
