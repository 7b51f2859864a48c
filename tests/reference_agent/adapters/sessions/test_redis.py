import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from redis.crc import key_slot
from redis.exceptions import ConnectionError as BrokenConnectionError
from redis.exceptions import ReadOnlyError, RedisClusterException
from redis.exceptions import TimeoutError as RedisTimeoutError

from harness.clock import FakeClock
from reference_agent.adapters.sessions.protocol import SessionError
from reference_agent.adapters.sessions.redis import RedisStore, keys_of
from tests.reference_agent.rig import rig
from tests.reference_agent.wire import says


@given(st.text(min_size=1), st.text(min_size=1))
@example("}x", "{}")
@example("%7D", "}")
def test_thekeys_of_of_a_session_are_on_one_node_and_its_own(session: str, other: str) -> None:
    assert len({key_slot(key.encode()) for key in keys_of(session)}) == 1
    assert session == other or not set(keys_of(session)) & set(keys_of(other))


class Failing:
    """A client of Redis whose commands take so long, and then fail as they are told."""

    def __init__(self, clock: FakeClock, took_s: float, *errors: Exception) -> None:
        self.connection_pool = self
        self._clock = clock
        self._took_s = took_s
        self._errors = list(errors)
        self.asked = 0
        self.stays_open: Exception | None = None

    async def eval(self, *_: object) -> list[object]:
        self.asked += 1
        self._clock.advance(self._took_s)
        if self._errors:
            raise self._errors.pop(0)
        return [[], None, None]

    async def disconnect(self, *, inuse_connections: bool) -> None:
        assert not inuse_connections
        if self.stays_open is not None:
            raise self.stays_open


def quick(clock: FakeClock, address: str) -> RedisStore:
    """Return a store whose pauses take no time."""

    async def sleep(seconds: float) -> None:
        clock.advance(seconds + 0.001)

    return RedisStore(
        address, max_turns=3, max_age_s=60, max_connections=2, clock=clock.monotonic, sleep=sleep
    )


def loaded(took_s: float, *errors: Exception, drawn: float = 0.5) -> tuple[Any, list[float]]:
    """Read a session from a store that fails so often; return its client, and the pauses."""
    clock, slept = FakeClock(), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    store = RedisStore(
        "redis://127.0.0.1:1/0",
        max_turns=3,
        max_age_s=60,
        max_connections=2,
        clock=clock.monotonic,
        sleep=sleep,
        uniform=lambda: drawn,
    )
    client: Any = Failing(clock, took_s, *errors)
    store._redis = client
    with contextlib.suppress(SessionError):
        asyncio.run(store.load("s", "r"))
    return client, slept


@pytest.mark.parametrize(("drawn", "pauses"), [(0.5, [0.05, 0.1]), (0.0, [0.0, 0.0]), (0.9, [0.09, 0.18])])
def test_pauses_before_a_retry_are_drawn_and_double(drawn: float, pauses: list[float]) -> None:
    broken = [BrokenConnectionError("reset") for _ in range(2)]
    client, slept = loaded(0.0, *broken, drawn=drawn)
    assert slept == pytest.approx(pauses)
    assert client.asked == 3


def test_a_connection_that_broke_is_replaced_once_however_long_it_took() -> None:
    client, _ = loaded(3.0, BrokenConnectionError("reset"))
    assert client.asked == 2
    client, _ = loaded(3.0, BrokenConnectionError("reset"), BrokenConnectionError("again"))
    assert client.asked == 2


def test_a_connection_that_broke_while_it_was_written_to_is_replaced_too() -> None:
    client, _ = loaded(0.0, RuntimeError("unable to perform operation on <TCPTransport closed=True>"))
    assert client.asked == 2


def test_what_timed_out_or_was_refused_is_not_asked_again_when_the_patience_is_over() -> None:
    for error in (RedisTimeoutError("late"), ReadOnlyError("READONLY")):
        client, _ = loaded(3.0, error)
        assert client.asked == 1


@pytest.mark.parametrize(
    "error",
    [
        RedisClusterException("no node can be reached"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no text"),
        RedisTimeoutError("late"),
    ],
)
@pytest.mark.parametrize("stays_open", [None, RedisTimeoutError("timed out closing"), OSError("gone")])
def test_whatever_its_client_raises_is_an_error_of_the_store(
    error: Exception, stays_open: Exception | None
) -> None:
    clock = FakeClock()
    store = quick(clock, "redis://127.0.0.1:1/0")
    client: Any = Failing(clock, 0.0, *[error] * 100)
    client.stays_open = stays_open
    store._redis = client

    async def work() -> None:
        with pytest.raises(SessionError):
            await store.load("s", "r")
        await store.reconnect()  # a restored container does, before its next request

    asyncio.run(work())


def test_a_cluster_of_which_no_node_is_there_is_a_store_that_is_gone(tmp_path: Path) -> None:
    async def work() -> None:
        store: Any = quick(FakeClock(), "redis+cluster://127.0.0.1:1")
        async with rig(tmp_path, says("ok"), store=store) as agent:
            answer = await agent.ask()
            assert (answer.status_code, answer.json()["error_type"]) == (503, "session_store")
            assert (await agent.http.get("/readyz")).status_code == 503
            assert not agent.wire.requests

    asyncio.run(work())
