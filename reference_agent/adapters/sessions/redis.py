"""Sessions in Redis: the last turns of each session in a list, the number of the last one, and its answers.

A failover moves the sessions to another server while connections to the old one stay open: it goes on
answering reads, and refuses every write. So reading a session is a write, too (it counts as a use of it), and
so is the look whether Redis is there: who could not save a turn is told before the model is paid. Where the
memory is full, only what may need some is refused: so it begins with a write of nothing, of that kind. After
an error all idle connections are let go, and the next ones lead to where the primary is by then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as BrokenConnectionError
from redis.exceptions import RedisClusterException, RedisError

from reference_agent.adapters.sessions.protocol import (
    ANSWERS_KEPT,
    DELETED_S,
    ConflictError,
    History,
    SessionError,
    Turn,
    history_of,
)
from reference_agent.patterns.retry import UNIFORM

T = TypeVar("T")
TIMEOUT_S: Final = 5.0
CONNECT_S: Final = 2.0
FIRST_PAUSE_S: Final = 0.05
"""Before the first retry of a command, on average; the pauses double. Each is drawn: those whom one store has
failed together must not come back together."""
READ_PATIENCE_S: Final = 0.2
"""Enough for connections that a restart has broken: who reads may well be told to come again."""
WRITE_PATIENCE_S: Final = 1.6
"""Long enough for a failover: the model is paid by then."""
BROKEN: Final = (BrokenConnectionError, ConnectionError, RuntimeError)
"""What a connection that broke raises; uvloop has a RuntimeError for one that breaks as it is written to."""
FAILED: Final = (RedisError, RedisClusterException, OSError, RuntimeError, UnicodeDecodeError)
"""What its client may raise. A cluster of which no node is there has an exception of no family, and what
others wrote into a session may be no text."""
SENTINEL_PORT: Final = 26379
LOAD: Final = """
redis.call('SETRANGE', KEYS[2], 0, '')
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[2]) end
local answered = redis.call('HGET', KEYS[3], ARGV[1])
return {redis.call('LRANGE', KEYS[1], 0, -1), redis.call('GET', KEYS[2]), answered}
"""
APPEND: Final = """
local last, read = tonumber(redis.call('GET', KEYS[2]) or '0'), tonumber(ARGV[1])
if last == read + 1 and redis.call('LINDEX', KEYS[4], -1) == ARGV[4]
    and redis.call('HGET', KEYS[3], ARGV[4]) == ARGV[5] then return 1 end
if last ~= read then return 0 end
redis.call('RPUSH', KEYS[1], ARGV[2])
redis.call('LTRIM', KEYS[1], -tonumber(ARGV[3]), -1)
redis.call('SET', KEYS[2], ARGV[1] + 1)
redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
redis.call('RPUSH', KEYS[4], ARGV[4])
if redis.call('LLEN', KEYS[4]) > tonumber(ARGV[6]) then
    redis.call('HDEL', KEYS[3], redis.call('LPOP', KEYS[4]))
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[7]) end
return 1
"""
"""One script is one transaction: the turn, and the check of what was read before it. A turn that is there
already, as the last one and with this answer, was written by a command whose reply was lost."""
DELETE: Final = """
local version = tonumber(redis.call('GET', KEYS[2]) or '0') + 1
redis.call('DEL', unpack(KEYS))
redis.call('SET', KEYS[2], version, 'EX', ARGV[1])
"""
Client = Redis | RedisCluster


class RedisStore:
    """A `SessionStore` in Redis.

    Args:
        url: of one server (`redis://host:port/db`), of one that sentinels know
            (`redis+sentinel://host:port,host:port/service/db`), or of a cluster (`redis+cluster://host:port`);
            `rediss` for TLS.
        max_turns: that a session keeps; older ones are forgotten.
        max_age_s: sessions not used for so long are forgotten.
        max_connections: at once; who finds none free waits.
        clock: seconds since any origin.
        sleep: waits.
        uniform: gives a number in [0, 1).
    """

    load_script: str = LOAD
    append_script: str = APPEND

    def __init__(
        self,
        url: str,
        *,
        max_turns: int,
        max_age_s: float,
        max_connections: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[], float] = UNIFORM,
    ) -> None:
        self.uniform = uniform
        self._redis = client_of(url, max_connections)
        self._max_turns = max_turns
        self._max_age_s = max(1, int(max_age_s))
        self._free = asyncio.Semaphore(max_connections)
        self._clock = clock
        self._sleep = sleep

    async def load(self, session_id: str, request_id: str) -> History:
        """Read a session, empty when there is none."""
        turns, version, answered = await self._eval(
            READ_PATIENCE_S, self.load_script, session_id, request_id, self._max_age_s
        )
        return history_of(turns, int(version or 0), answered)

    async def append(self, session_id: str, version: int, turn: Turn) -> None:
        """Add a turn after turn `version`."""
        messages, answer = turn.encoded()
        kept = (self._max_turns, turn.request_id, answer, ANSWERS_KEPT, self._max_age_s)
        script = self.append_script
        if not await self._eval(WRITE_PATIENCE_S, script, session_id, version, messages, *kept):
            raise ConflictError(f"another request of session {session_id} finished first")

    async def delete(self, session_id: str) -> None:
        """Forget a session."""
        await self._eval(WRITE_PATIENCE_S, DELETE, session_id, DELETED_S)

    async def ping(self) -> None:
        """Raise SessionError when Redis can't be written."""
        await self._patiently(READ_PATIENCE_S, lambda: self._redis.set("agentrig:ping", 1, ex=60))

    async def reconnect(self) -> None:
        """Let go of the connections that nobody uses."""
        with suppress(*FAILED):  # one whose end can't be told to the other side is let go all the same
            if isinstance(self._redis, RedisCluster):
                await self._redis.aclose()  # it asks for the nodes anew at its next command
            else:
                await self._redis.connection_pool.disconnect(inuse_connections=False)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _eval(self, patience_s: float, script: str, session_id: str, *arguments: str | int) -> Any:
        keys = keys_of(session_id)
        return await self._patiently(
            patience_s,
            lambda: self._redis.eval(script, len(keys), *keys, *map(str, arguments)),
        )

    async def _patiently(self, patience_s: float, command: Callable[[], Awaitable[T]]) -> T:
        """Return a command's reply; it may be carried out twice when the first reply was lost.

        A connection that broke says nothing of the store: a new one is tried, however long the first took.
        """
        give_up_s, pause_s, again = self._clock() + patience_s, FIRST_PAUSE_S, False
        while True:
            try:
                async with self._free:
                    return await command()
            except FAILED as error:
                await self.reconnect()
                broke = isinstance(error, BROKEN)
                if self._clock() + pause_s > give_up_s and (again or not broke):
                    raise SessionError(f"the session store failed: {error}") from error
            await self._sleep(2 * pause_s * self.uniform())
            pause_s, again = 2 * pause_s, True


def client_of(url: str, max_connections: int) -> Client:
    """Return the client of an address; nothing is connected until it is used.

    Raises:
        ValueError: the address is wrong.
    """
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": CONNECT_S,
        "retry": Retry(NoBackoff(), 0),  # this module's own: two retry loops multiply
        "decode_responses": True,
        "max_connections": max_connections,
    }
    if not kind:
        pool = BlockingConnectionPool.from_url(url, timeout=TIMEOUT_S, **options)
        options_known: Any = pool.make_connection
        options_known()  # connects to nothing
        return Redis.from_pool(pool)
    if kind == "cluster":
        return RedisCluster.from_url(parts._replace(scheme=scheme).geturl(), **options)
    service, _, db = parts.path.strip("/").partition("/")
    if not service:
        raise ValueError("an address of sentinels names their service: redis+sentinel://host:port/service")
    sentinels = [_host_and_port(part) for part in parts.netloc.rpartition("@")[2].split(",")]
    known: Any = Sentinel(  # type: ignore[no-untyped-call]  # redis - it has none
        sentinels, socket_timeout=CONNECT_S, socket_connect_timeout=CONNECT_S
    )
    login = {name: unquote(value) for name in ("username", "password") if (value := getattr(parts, name))}
    primary: Redis = known.master_for(service, db=int(db or 0), ssl=scheme == "rediss", **login, **options)
    return primary


def _host_and_port(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "localhost", parts.port or SENTINEL_PORT


def keys_of(session_id: str) -> tuple[str, ...]:
    """Return the keys of a session: of its turns, their number, its answers, and their order."""
    # The braces keep all keys on one node of a cluster, if there are none within.
    name = quote(session_id, safe="")
    return tuple(f"agentrig:{{{name}}}:{kind}" for kind in ("turns", "version", "answers", "answered"))
