"""A failover of a real Redis pair: connections to the old primary stay open, and it takes no more turns."""

import asyncio
import dataclasses
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from harness.fleet.ports import HOST, Ports
from reference_agent.adapters.sessions.open import open_store
from reference_agent.adapters.sessions.protocol import ConflictError, SessionError
from reference_agent.adapters.sessions.redis import RedisStore
from reference_agent.contract import REQUEST_HEADER, SESSION_HEADER
from reference_agent.settings import Settings
from tests.e2e.address import Address
from tests.e2e.agents import agents
from tests.e2e.redis_server import RedisServer, redis_pair, redis_server
from tests.e2e.test_sessions_survive import CALLERS, SESSIONS, Run, check, name_of
from tests.e2e.waiting import DEADLINE_S, until
from tests.reference_agent.adapters.sessions.contract import CHECKS, turn, words
from tests.reference_agent.rig import run

pytestmark = pytest.mark.e2e

LONGEST_S = 2.0
"""Of refusals, from the first to the last."""
REQUESTS = 6
"""Of each caller."""
SERVICE = "sessions"


def fail_over(address: Address, primary: RedisServer, replica: RedisServer) -> None:
    """Change the roles, losing nothing, and then where the address leads."""
    assert primary.told(f"FAILOVER TO {HOST} {replica.port}").startswith(b"+OK")
    until("the new primary", lambda: b"role:master" in replica.told("INFO replication"))
    address.target = replica.port


@dataclass
class FailingOver(Run):
    """Requests under way while the store changes its primary."""

    fail_over: Callable[[], None] = lambda: None
    refused: list[tuple[float, str]] = field(default_factory=list)
    """When, and as what, requests were refused."""
    change: asyncio.Future[None] | None = None

    async def _asked(self, session: int, word: str) -> str:
        identity = {SESSION_HEADER: name_of(session), REQUEST_HEADER: word}
        body = {"prompt": f"My word is {word}. Which canary words are there?"}
        if self.change is None and len(self.answers) > SESSIONS * CALLERS * REQUESTS // 3:
            self.change = asyncio.ensure_future(asyncio.to_thread(self.fail_over))
        async with asyncio.timeout(DEADLINE_S):
            while True:
                url = f"{self.rng.choice(self.fleet.urls)}/invocations"
                answer = await self.http.post(url, json=body, headers=identity)
                if answer.status_code == 200:
                    return str(answer.json()["result"])
                assert answer.content, f"{answer.status_code}, {answer.headers}"
                told = answer.json()["error_type"]
                assert (answer.status_code, told) in {(409, "session_conflict"), (503, "session_store")}
                if answer.status_code == 503:
                    assert answer.headers["retry-after"] == "1"
                    self.refused.append((asyncio.get_running_loop().time(), told))
                self.conflicts += answer.status_code == 409
                await asyncio.sleep(self.rng.uniform(0.01, 0.1))


@pytest.mark.alone
def test_under_load_a_failover_costs_two_seconds_of_refusals_and_no_turn(tmp_path: Path) -> None:
    async def work() -> FailingOver:
        limits = httpx.Limits(max_connections=SESSIONS * CALLERS)
        async with httpx.AsyncClient(limits=limits, timeout=DEADLINE_S) as http:
            load = FailingOver(fleet, http, random.Random(7), REQUESTS, 0)
            load.fail_over = lambda: fail_over(address, primary, replica)
            await load.everything()
            assert load.change is not None
            await load.change
            for url in fleet.urls:
                assert (await http.get(f"{url}/readyz")).status_code == 200
            store = open_store(Settings(agent_session_store=replica.url))
            await check(store, load.answers, REQUESTS)
            await store.aclose()
            return load

    with (
        redis_pair(tmp_path) as (primary, replica),
        Address(primary.port) as address,
        agents(
            tmp_path,
            count=2,
            ttft_s=0.03,
            AGENT_SESSION_STORE=f"redis://{HOST}:{address.port}/0",
            AGENT_CONCURRENCY_LIMIT=str(SESSIONS * CALLERS),
        ) as fleet,
    ):
        load = asyncio.run(work())
        assert b"role:slave" in primary.told("INFO replication")
    times = [when for when, _ in load.refused]
    longest_s = max(times) - min(times) if times else 0.0
    print(f"{len(times)} refusals in {longest_s:.2f} s, {len(load.answers)} turns")  # noqa: T201 - the figures
    assert longest_s <= LONGEST_S
    assert len(load.answers) == SESSIONS * CALLERS * REQUESTS


def store_at(url: str) -> RedisStore:
    return RedisStore(url, max_turns=3, max_age_s=86_400, max_connections=4)


def test_a_primary_that_was_demoted_is_seen_before_the_model_is_paid(tmp_path: Path) -> None:
    async def work() -> None:
        store = store_at(f"redis://{HOST}:{address.port}/0")
        await store.append("s", 0, turn("a"))
        assert primary.told(f"FAILOVER TO {HOST} {replica.port}").startswith(b"+OK")
        until("the new primary", lambda: b"role:master" in replica.told("INFO replication"))
        for call in (store.ping, lambda: store.load("s", "-"), lambda: store.append("s", 1, turn("b"))):
            with pytest.raises(SessionError, match=r"(?i)read.?only"):
                await call()
        address.target = replica.port
        await store.ping()
        assert words((await store.load("s", "-")).messages) == ["a"]
        await store.append("s", 1, turn("b"))
        await store.aclose()

    with redis_pair(tmp_path) as (primary, replica), Address(primary.port) as address:
        run(work())


@contextmanager
def sentinel(folder: Path, primary: RedisServer) -> Iterator[RedisServer]:
    folder.mkdir()
    file = folder / "sentinel.conf"
    file.write_text(
        f"sentinel monitor {SERVICE} {HOST} {primary.port} 1\n"
        f"sentinel down-after-milliseconds {SERVICE} 1000\n"
        f"sentinel failover-timeout {SERVICE} 3000\n"
    )
    with Ports() as ports:
        watcher = Sentinel(folder, ports.reserve(), str(file))
        try:
            watcher.start()
            yield watcher
        finally:
            watcher.kill()


class Sentinel(RedisServer):
    """A Redis that watches others."""

    def argv(self) -> list[str]:
        return ["redis-server", *self._options, "--sentinel", "--bind", HOST, "--port", str(self.port)]


def test_sentinels_say_where_the_primary_is_also_after_it_changed(tmp_path: Path) -> None:
    async def work() -> None:
        store = store_at(f"redis+sentinel://{HOST}:{watcher.port}/{SERVICE}/0")
        await store.append("s", 0, turn("a"))
        until("the turn copied", lambda: replica.told("GET agentrig:{s}:version") == b"$1\r\n1\r\n")
        fail_over = f"SENTINEL FAILOVER {SERVICE}"  # it takes no replica that it has not heard of lately
        until("the failover", lambda: watcher.told(fail_over).startswith(b"+OK"))
        until("the new primary", lambda: b"role:master" in replica.told("INFO replication"))
        until("the old one demoted", lambda: b"role:slave" in primary.told("INFO replication"))
        await eventually(lambda: store.append("s", 1, turn("b")))
        await store.ping()
        assert words((await store.load("s", "-")).messages) == ["a", "b"]
        assert replica.told("GET agentrig:{s}:version") == b"$1\r\n2\r\n"
        await store.aclose()

    with redis_pair(tmp_path) as (primary, replica), sentinel(tmp_path / "sentinel", primary) as watcher:
        until("the replica known", lambda: b"slaves=1" in watcher.told("INFO sentinel"))
        run(work())


def test_a_turn_whose_reply_was_lost_is_no_conflict(tmp_path: Path) -> None:
    async def work() -> None:
        store = store_at(f"redis://{HOST}:{address.port}/0")
        await store.append("s", 0, turn("a"))
        address.cut_at_the_next_reply = True
        await store.append("s", 1, turn("b"))
        assert not address.cut_at_the_next_reply
        assert words((await store.load("s", "-")).messages) == ["a", "b"]
        address.cut_at_the_next_reply = True
        await store.delete("s")
        gone = await store.load("s", "-")
        for was_read in (2, 3, gone.version + 1):
            with pytest.raises(ConflictError):
                await store.append("s", was_read, turn("b"))
        await store.append("s", gone.version, turn("b"))
        with pytest.raises(ConflictError):  # the same request at the same time, with another answer
            await store.append("s", gone.version, dataclasses.replace(turn("b"), answer={"result": "else"}))
        await store.aclose()

    with redis_server(tmp_path) as server, Address(server.port) as address:
        run(work())


async def eventually(call: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await call()
            except SessionError:
                await asyncio.sleep(0.05)


def test_a_cluster_does_what_every_store_does(tmp_path: Path) -> None:
    async def work() -> None:
        store = store_at(f"redis+cluster://{HOST}:{server.port}")
        for every in CHECKS:
            assert server.told("FLUSHALL").startswith(b"+OK")
            await every(store)
        await store.reconnect()
        await store.ping()
        await store.aclose()

    with Ports() as ports:
        options = ("--cluster-enabled", "yes", "--cluster-port", str(ports.reserve()))
        with redis_server(tmp_path, *options) as server:
            assert server.told("CLUSTER ADDSLOTSRANGE 0 16383").startswith(b"+OK")
            until("the cluster", lambda: b"cluster_state:ok" in server.told("CLUSTER INFO"))
            run(work())
