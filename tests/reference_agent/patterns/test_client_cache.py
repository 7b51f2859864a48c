import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

import pytest

from harness.clock import FakeClock
from reference_agent.patterns.client_cache import CachedClient, ClientInit, ClientUnavailableError


class Factory:
    """Builds numbered clients, slowly, and can be told to fail."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.clients: list[str] = []
        self.closed: list[str] = []
        self.inits: list[ClientInit] = []
        self.failures = 0
        self.cache = CachedClient(
            "llm", self.build, self.close, hook=self.inits.append, clock=self.clock.monotonic
        )

    async def build(self) -> str:
        for _ in range(5):
            await asyncio.sleep(0)
        self.clock.advance(0.25)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no route")
        self.clients.append(f"client-{len(self.clients) + 1}")
        return self.clients[-1]

    async def close(self, client: str) -> None:
        self.closed.append(client)

    async def once(self) -> tuple[str, str, float]:
        async with self.cache.use() as use:
            await asyncio.sleep(0)
            return use.client, use.state, use.wait_s


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def test_first_requests_that_arrive_together_share_one_build() -> None:
    factory = Factory()

    async def together() -> list[tuple[str, str, float]]:
        return await asyncio.gather(*(factory.once() for _ in range(50)))

    uses = run(together())
    assert {client for client, _, _ in uses} == {"client-1"}
    assert {state for _, state, _ in uses} == {"cold"}
    assert [init.state for init in factory.inits] == ["cold"]


def test_later_requests_are_warm_and_wait_for_nothing() -> None:
    factory = Factory()

    async def in_turn() -> Any:
        first = await factory.once()
        return first, await factory.once()

    first, second = run(in_turn())
    assert first == ("client-1", "cold", 0.25)
    assert second == ("client-1", "warm", 0.0)


def test_a_first_caller_that_gives_up_does_not_take_the_client_from_the_others() -> None:
    factory = Factory()

    async def work() -> Any:
        impatient = asyncio.create_task(factory.once())
        patient = asyncio.create_task(factory.once())
        await asyncio.sleep(0)
        impatient.cancel()
        return await patient

    assert run(work())[0] == "client-1"
    assert factory.clients == ["client-1"]


def test_a_failed_build_is_told_to_all_who_waited_and_not_repeated_by_each() -> None:
    factory = Factory()
    factory.failures = 1

    async def together() -> Any:
        return await asyncio.gather(*(factory.once() for _ in range(9)), return_exceptions=True)

    results = run(together())
    assert all(
        isinstance(r, ClientUnavailableError) and isinstance(r.__cause__, ConnectionError) for r in results
    )
    assert len(factory.inits) == 1
    assert isinstance(factory.inits[0].error, ConnectionError)


def test_a_build_that_keeps_failing_is_tried_ever_more_rarely() -> None:
    factory = Factory()
    factory.failures = 10**9

    async def a_minute_of_calls() -> list[float]:
        tried = []
        for _ in range(600):
            before = len(factory.inits)
            with pytest.raises(ClientUnavailableError):
                await factory.once()
            if len(factory.inits) > before:
                tried.append(round(factory.clock.monotonic(), 1))
            factory.clock.advance(0.1)
        return tried

    tried = run(a_minute_of_calls())
    gaps = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert gaps[0] < 1.0
    assert [round(gap) for gap in gaps] == sorted(round(gap) for gap in gaps)
    assert len(tried) < 20


def test_however_long_an_outage_lasted_the_client_is_back_seconds_after_it() -> None:
    factory = Factory()
    factory.failures = 30  # far more than an hour of doubling pauses

    async def an_outage() -> float:
        for _ in range(30):
            with pytest.raises(ClientUnavailableError) as caught:
                await factory.once()
            factory.clock.advance(caught.value.retry_after_s)
        assert (await factory.once())[0] == "client-1"
        return caught.value.retry_after_s

    assert run(an_outage()) <= 5.0


def test_after_the_pause_the_next_caller_succeeds_and_nothing_of_the_failure_is_left() -> None:
    factory = Factory()
    factory.failures = 1

    async def work() -> Any:
        with pytest.raises(ClientUnavailableError) as caught:
            await factory.once()
        factory.clock.advance(caught.value.retry_after_s)
        return await factory.once()

    assert run(work())[0] == "client-1"


def test_an_invalidated_client_is_rebuilt_once_for_all_and_says_why() -> None:
    factory = Factory()

    async def work() -> Any:
        await factory.once()
        factory.cache.invalidate(factory.clients[0], "expired")
        factory.cache.invalidate(factory.clients[0], "expired")
        return await asyncio.gather(*(factory.once() for _ in range(9)))

    assert {client for client, _, _ in run(work())} == {"client-2"}
    assert [(init.state, init.reason) for init in factory.inits] == [
        ("cold", "first_use"),
        ("reinit", "expired"),
    ]
    assert factory.closed == ["client-1"]


def test_a_client_in_use_is_closed_only_when_its_last_user_leaves() -> None:
    factory = Factory()

    async def work() -> None:
        async with factory.cache.use() as use:
            factory.cache.invalidate(use.client, "broken")
            assert factory.closed == []
            assert (await factory.once())[0] == "client-2"
        await asyncio.sleep(0)  # nobody waits for the closing
        assert factory.closed == ["client-1"]

    run(work())


def test_telling_of_an_old_client_does_not_touch_the_new_one() -> None:
    factory = Factory()

    async def work() -> Any:
        await factory.once()
        factory.cache.invalidate(factory.clients[0], "broken")
        await factory.once()
        factory.cache.invalidate(factory.clients[0], "broken")
        return await factory.once()

    assert run(work()) == ("client-2", "warm", 0.0)


@pytest.mark.parametrize("begun", [1, 2, 4])
def test_closing_gives_up_a_client_that_is_being_built_and_tells_those_who_wait(begun: int) -> None:
    factory = Factory()

    async def work() -> None:
        building = asyncio.create_task(factory.once())
        for _ in range(begun):
            await asyncio.sleep(0)
        await factory.cache.aclose()
        with pytest.raises(ClientUnavailableError):
            await building

    run(work())
    assert factory.clients == []


def test_closing_waits_for_what_is_being_closed() -> None:
    factory = Factory()

    async def work() -> None:
        await factory.once()
        await factory.cache.aclose()
        assert factory.closed == ["client-1"]

    run(work())


class Hanging(Factory):
    """Its builds never end, nor does anything that they are asked to close."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = CachedClient("llm", self.build, self.close, build_s=0.0, hook=self.inits.append)
        self.ends = asyncio.Event()

    async def build(self) -> str:
        await asyncio.Event().wait()
        raise AssertionError


def test_a_build_that_hangs_is_given_up_told_and_tried_again() -> None:
    factory = Hanging()

    async def work() -> None:
        for _ in range(3):
            with pytest.raises(ClientUnavailableError) as caught:
                await factory.once()
        assert isinstance(caught.value.__cause__, TimeoutError)
        await factory.cache.aclose()

    run(work())
    assert [type(init.error) for init in factory.inits] == [TimeoutError]


def test_a_build_that_is_cancelled_from_within_is_a_failed_one() -> None:
    factory = Factory()

    async def cancelled() -> str:
        raise asyncio.CancelledError

    factory.cache = CachedClient(
        "llm", cancelled, factory.close, hook=factory.inits.append, clock=factory.clock.monotonic
    )

    async def work() -> None:
        results = await asyncio.gather(*(factory.once() for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [ClientUnavailableError] * 3
        assert asyncio.current_task() is not None

    run(work())
    assert len(factory.inits) == 1


def test_closing_that_hangs_or_fails_is_nobodys_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reference_agent.patterns.client_cache.CLOSE_S", 0.0)
    factory = Factory()

    async def hang(_: str) -> None:
        await asyncio.Event().wait()

    async def fail(_: str) -> None:
        raise OSError("gone")

    async def work() -> None:
        for close in (hang, fail):
            factory.cache = CachedClient("llm", factory.build, close, clock=factory.clock.monotonic)
            async with factory.cache.use() as use:
                factory.cache.invalidate(use.client, "broken")
            await factory.once()
            await factory.cache.aclose()

    run(work())
