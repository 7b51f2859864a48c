"""Sessions in Redis: a list of turns per session, and a hash of the answers by request id."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from reference_agent.adapters.sessions.protocol import ConflictError, History, SessionError, Turn

T = TypeVar("T")
TIMEOUT_S = 5.0
APPEND = """
if redis.call('LLEN', KEYS[1]) ~= tonumber(ARGV[1]) or redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then
    return 0
end
redis.call('RPUSH', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 1
"""
"""One script is one transaction: the turn, its answer, and the check of what was read before."""


class RedisStore:
    """A `SessionStore` in Redis.

    Args:
        url: `redis://host:port/db`.
        max_age_s: sessions not used for so long are forgotten.
        max_connections: of the pool.
    """

    def __init__(self, url: str, *, max_age_s: float, max_connections: int) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            max_connections=max_connections,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            decode_responses=True,
        )
        self._max_age_s = max(1, int(max_age_s))
        self._script = self._redis.register_script(APPEND)

    async def load(self, session_id: str, request_id: str) -> History:
        """Read a session, empty when there is none."""
        turns_key, answers_key = _keys(session_id)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.lrange(turns_key, 0, -1)
            pipe.hget(answers_key, request_id)
            turns, answer = await _reach(pipe.execute())
        try:
            messages = [message for turn in turns for message in json.loads(turn)]
            known = None if answer is None else json.loads(answer)
        except ValueError as error:
            raise SessionError(f"session {session_id} holds what is no JSON: {error}") from error
        return History(messages=messages, version=len(turns), answer=known)

    async def append(self, session_id: str, version: int, turn: Turn) -> None:
        """Add a turn after turn `version`."""
        arguments: list[str | int] = [
            version,
            turn.request_id,
            json.dumps(turn.messages, separators=(",", ":")),
            json.dumps(turn.answer, separators=(",", ":")),
            self._max_age_s,
        ]
        done = await _reach(
            cast("Awaitable[Any]", self._script(keys=list(_keys(session_id)), args=arguments))
        )
        if not done:
            raise ConflictError(f"another request of session {session_id} finished first")

    async def ping(self) -> None:
        """Raise SessionError when Redis can't be reached."""
        await _reach(cast("Awaitable[Any]", self._redis.ping()))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _keys(session_id: str) -> tuple[str, str]:
    # The braces keep both keys on one node of a cluster.
    return f"agentrig:{{{session_id}}}:turns", f"agentrig:{{{session_id}}}:answers"


async def _reach(reply: Awaitable[T]) -> T:
    try:
        return await reply
    except (RedisError, OSError) as error:
        raise SessionError(f"the session store failed: {error}") from error
