"""The Redis store against a real Redis."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from reference_agent.adapters.sessions.protocol import (
    DELETED_S,
    ConflictError,
    SessionError,
    SessionStore,
)
from reference_agent.adapters.sessions.redis import RedisStore
from tests.e2e.redis_server import RedisServer, redis_server
from tests.reference_agent.adapters.sessions.contract import (
    CHECKS,
    the_oldest_answers_are_forgotten_in_the_end,
    turn,
    words,
)
from tests.reference_agent.rig import rig, run
from tests.reference_agent.wire import says

pytestmark = pytest.mark.e2e

DAY_S = 86_400


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(shared: RedisServer) -> RedisServer:
    """The one Redis, with nothing in it."""

    async def work() -> None:
        client = Redis.from_url(shared.url)
        await client.flushall()
        await client.aclose()

    run(work())
    return shared


def store(redis: RedisServer, *, max_age_s: float = DAY_S, max_connections: int = 4) -> RedisStore:
    return RedisStore(redis.url, max_turns=3, max_age_s=max_age_s, max_connections=max_connections)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_does_what_every_store_does(
    check: Callable[[SessionStore], Awaitable[None]], redis: RedisServer
) -> None:
    async def work() -> None:
        opened = store(redis)
        await check(opened)
        await opened.aclose()

    run(work())


def test_containers_share_one_redis(redis: RedisServer) -> None:
    async def work() -> None:
        one, two = store(redis), store(redis)
        await one.append("s", 0, turn("a"))
        await two.append("s", 1, turn("b"))
        with pytest.raises(ConflictError):
            await one.append("s", 1, turn("c"))
        assert words((await one.load("s", "-")).messages) == ["a", "b"]
        await asyncio.gather(one.aclose(), two.aclose())

    run(work())


def test_every_use_gives_a_session_its_whole_time_again(redis: RedisServer) -> None:
    async def work() -> None:
        opened, client = store(redis), Redis.from_url(redis.url, decode_responses=True)
        await opened.append("s", 0, turn("a"))
        keys = await client.keys("*")
        assert len(keys) == 4
        for key in keys:
            assert 0 < await client.ttl(key) <= DAY_S
            await client.expire(key, 100)
        await opened.load("s", "-")
        assert [await client.ttl(key) > 100 for key in keys] == [True] * 4
        await asyncio.gather(opened.aclose(), client.aclose())

    run(work())


def test_of_a_deleted_session_its_number_is_left_for_a_while(redis: RedisServer) -> None:
    async def work() -> None:
        opened = store(redis)
        await opened.append("s", 0, turn("a"))
        await opened.delete("s")
        client = Redis.from_url(redis.url)
        (left,) = await client.keys("*")
        assert left.endswith(b":version")
        assert 0 < await client.ttl(left) <= DELETED_S
        await client.aclose()
        await opened.aclose()

    run(work())


def test_a_session_has_no_more_answers_than_are_kept(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reference_agent.adapters.sessions.redis.ANSWERS_KEPT", 5)

    async def work() -> None:
        opened, client = store(redis), Redis.from_url(redis.url)
        await the_oldest_answers_are_forgotten_in_the_end(opened)
        assert await client.hlen("agentrig:{s}:answers") == 5
        await asyncio.gather(opened.aclose(), client.aclose())

    run(work())


def test_a_session_that_is_too_old_is_gone(redis: RedisServer) -> None:
    async def work() -> None:
        opened, client = store(redis), Redis.from_url(redis.url)
        await opened.append("s", 0, turn("a"))
        for key in await client.keys("*"):
            await client.pexpireat(key, 1)
        assert (await opened.load("s", "a")).version == 0
        await opened.append("s", 0, turn("b"))
        await asyncio.gather(opened.aclose(), client.aclose())

    run(work())


def test_a_turn_that_cannot_be_read_is_said(redis: RedisServer) -> None:
    async def work() -> None:
        opened, client = store(redis), Redis.from_url(redis.url, decode_responses=True)
        await opened.append("s", 0, turn("a"))
        (key,) = [key for key in await client.keys("*") if key.endswith(":turns")]
        for damaged in ("{", json.dumps({"request_id": "a"}), json.dumps([1])):
            await cast("Awaitable[Any]", client.lset(key, 0, damaged))
            with pytest.raises(SessionError, match="can't be read"):
                await opened.load("s", "-")
        await asyncio.gather(opened.aclose(), client.aclose())

    run(work())


def test_it_opens_no_more_connections_than_it_may(redis: RedisServer) -> None:
    async def work() -> None:
        opened, client = store(redis, max_connections=2), Redis.from_url(redis.url)
        before = len(await client.client_list())
        await asyncio.gather(*(opened.append(f"s{n}", 0, turn("a")) for n in range(50)))
        assert len(await client.client_list()) - before == 2
        assert [(await opened.load(f"s{n}", "-")).version for n in range(50)] == [1] * 50
        await asyncio.gather(opened.aclose(), client.aclose())

    run(work())


def test_it_recovers_by_itself_when_redis_comes_back(tmp_path: Path) -> None:
    async def work() -> None:
        opened = store(server)
        await opened.append("s", 0, turn("a"))
        server.kill()
        for call in (opened.ping, lambda: opened.load("s", "-"), lambda: opened.append("s", 1, turn("b"))):
            with pytest.raises(SessionError, match="session store failed"):
                await call()
        server.start()
        await opened.ping()
        await opened.append("s", 0, turn("c"))
        assert words((await opened.load("s", "-")).messages) == ["c"]
        await opened.aclose()

    with redis_server(tmp_path) as server:
        run(work())


def test_connections_that_a_restart_broke_are_not_noticed(tmp_path: Path) -> None:
    async def work() -> None:
        opened = store(server)
        await opened.append("s", 0, turn("a"))
        server.kill()
        server.start()
        assert (await opened.load("s", "-")).version == 0
        await opened.append("s", 0, turn("a"))
        await opened.aclose()

    with redis_server(tmp_path) as server:
        run(work())


def test_an_agent_says_that_its_redis_is_gone_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), agent_session_store=server.url) as agent:
            assert (await agent.ask()).status_code == 200
            server.kill()
            lost = await agent.ask()
            assert (lost.status_code, lost.json()["error_type"]) == (503, "session_store")
            assert (await agent.http.get("/readyz")).status_code == 503
            assert (await agent.http.get("/ping")).json()["status"] == "Healthy"
            server.start()
            assert (await agent.http.get("/readyz")).status_code == 200
            assert (await agent.ask()).status_code == 200

    with redis_server(tmp_path) as server:
        run(work())
