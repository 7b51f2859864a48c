"""Sessions in Redis: the last turns of each session in a list, and the number of the last one."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError

from reference_agent.adapters.sessions.protocol import (
    ConflictError,
    History,
    SessionError,
    Turn,
    history_of,
)

T = TypeVar("T")
TIMEOUT_S = 5.0
RETRY_PAUSE_S = 0.05
"""Before the one retry of a command whose connection was lost, such as by a restart of Redis."""
APPEND = """
if tonumber(redis.call('GET', KEYS[2]) or '0') ~= tonumber(ARGV[1]) then
    return 0
end
redis.call('RPUSH', KEYS[1], ARGV[2])
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[3]), -1)
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('SET', KEYS[2], ARGV[1] + 1, 'EX', ARGV[4])
return 1
"""
"""One script is one transaction: the turn, and the check of what was read before it."""


class RedisStore:
    """A `SessionStore` in Redis.

    Args:
        url: `redis://host:port/db`.
        max_turns: that a session keeps; older ones are forgotten.
        max_age_s: sessions not used for so long are forgotten.
        max_connections: of the pool; who finds none free waits.
    """

    def __init__(self, url: str, *, max_turns: int, max_age_s: float, max_connections: int) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=max_connections,
            timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(ConstantBackoff(RETRY_PAUSE_S), 1),
            decode_responses=True,
        )
        self._redis: Redis = Redis.from_pool(pool)
        self._max_turns = max_turns
        self._max_age_s = max(1, int(max_age_s))
        self._script = self._redis.register_script(APPEND)

    async def load(self, session_id: str, request_id: str) -> History:
        """Read a session, empty when there is none."""
        turns_key, version_key = _keys(session_id)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.lrange(turns_key, 0, -1)
            pipe.get(version_key)
            turns, version = await _translated(pipe.execute())
        return history_of(turns, int(version or 0), request_id)

    async def append(self, session_id: str, version: int, turn: Turn) -> None:
        """Add a turn after turn `version`."""
        arguments: list[str | int] = [version, turn.encoded(), self._max_turns, self._max_age_s]
        done = await _translated(
            cast("Awaitable[Any]", self._script(keys=list(_keys(session_id)), args=arguments))
        )
        if not done:
            raise ConflictError(f"another request of session {session_id} finished first")

    async def ping(self) -> None:
        """Raise SessionError when Redis can't be reached."""
        await _translated(cast("Awaitable[Any]", self._redis.ping()))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _keys(session_id: str) -> tuple[str, str]:
    # The braces keep both keys on one node of a cluster.
    return f"agentrig:{{{session_id}}}:turns", f"agentrig:{{{session_id}}}:version"


async def _translated(reply: Awaitable[T]) -> T:
    try:
        return await reply
    except (RedisError, OSError) as error:
        raise SessionError(f"the session store failed: {error}") from error
