"""Sessions in one SQLite file that every container on a machine opens: a turn is only ever added.

With containers on several machines, a database of theirs takes its place behind the same two methods.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

T = TypeVar("T")
MOST_TURNS = 50
WAIT_S = 10.0


class Sessions:
    """What was said, by session.

    Args:
        path: the file; `sqlite:///` before it is allowed.
    """

    def __init__(self, path: str) -> None:
        self._path = path.removeprefix("sqlite:///")
        self._run(lambda db: db.execute("CREATE TABLE IF NOT EXISTS turns (session TEXT, messages TEXT)"))

    async def load(self, session: str | None) -> list[Any]:
        """Return the messages of a session's last turns; none for a request without a session."""
        return await asyncio.to_thread(self._run, lambda db: _load(db, session))

    async def add(self, session: str | None, messages: list[Any]) -> None:
        """Add a turn: a question, what followed from it, and its answer."""
        if session is not None:
            row = (session, json.dumps(messages))
            await asyncio.to_thread(self._run, lambda db: db.execute("INSERT INTO turns VALUES (?, ?)", row))

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with closing(sqlite3.connect(self._path, timeout=WAIT_S, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")  # waits its turn; a lock that is upgraded later would not
            result = work(db)
            db.execute("COMMIT")
            return result


def _load(db: sqlite3.Connection, session: str | None) -> list[Any]:
    rows = db.execute(
        "SELECT messages FROM turns WHERE session = ? ORDER BY rowid DESC LIMIT ?", (session, MOST_TURNS)
    )
    return [message for (messages,) in reversed(rows.fetchall()) for message in json.loads(messages)]
