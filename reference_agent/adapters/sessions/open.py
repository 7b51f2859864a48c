"""Opens the session store that an address names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reference_agent.adapters.sessions.protocol import SessionStore
from reference_agent.adapters.sessions.sqlite import SqliteStore
from reference_agent.settings import Settings

SQLITE = "sqlite:///"
WRONG_REDIS = (
    "give redis://host:port/db, redis+sentinel://host:port,host:port/service/db or redis+cluster://host:port,"
    " and a password in it percent-encoded"
)
REDIS = {f"{scheme}{kind}" for scheme in ("redis", "rediss") for kind in ("", "+sentinel", "+cluster")}


def open_store(settings: Settings) -> SessionStore:
    """Return the configured store; nothing is connected until it is used.

    Raises:
        ValueError: the address is of no known kind, or is wrong.
    """
    address = settings.agent_session_store
    max_turns = max(1, settings.agent_session_max_messages // 2)  # a turn has two messages at least
    if (
        address == f"{SQLITE}:memory:"
    ):  # each thread would have sessions of its own, and no other container any
        raise ValueError("AGENT_SESSION_STORE: give SQLite a file; memory is shared by nobody")
    if address.startswith(SQLITE) and len(address) > len(SQLITE):
        return SqliteStore(
            Path(address.removeprefix(SQLITE)),
            max_turns=max_turns,
            max_age_s=settings.agent_session_max_age_s,
        )
    if address.partition("://")[0] in REDIS:
        return _redis(
            address,
            max_turns=max_turns,
            max_age_s=settings.agent_session_max_age_s,
            max_connections=settings.agent_concurrency_limit + 2,
        )
    raise ValueError("AGENT_SESSION_STORE: give sqlite:///path/to/file.db or redis://host:port/db")


def _redis(address: str, **limits: Any) -> SessionStore:
    try:
        # redis is an extra of its own: imported only by those who use it.
        from redis.exceptions import RedisError  # noqa: PLC0415 - see above

        from reference_agent.adapters.sessions.redis import RedisStore  # noqa: PLC0415 - see above
    except ModuleNotFoundError:
        raise ValueError("AGENT_SESSION_STORE: for Redis, pip install 'agentrig[redis]'") from None
    try:
        return RedisStore(address, **limits)
    except (ValueError, TypeError, RedisError):
        # What the libraries say of it quotes a part of the address, which may be its password.
        raise ValueError(f"AGENT_SESSION_STORE: {WRONG_REDIS}") from None
