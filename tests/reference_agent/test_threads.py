import asyncio
import contextvars
import gc
import threading
from concurrent.futures import Future

import pytest

from reference_agent.threads import DaemonThreads, on_own_thread, threads_ended
from tests.reference_agent.rig import run

WORD: contextvars.ContextVar[str] = contextvars.ContextVar("word")


class Gate:
    """Work that lasts until a test says so."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = threading.Event()
        self.ended = False

    def work(self) -> str:
        self.begun.set()
        self.open.wait()
        self.ended = True
        return threading.current_thread().name


async def in_work(gate: Gate) -> "asyncio.Task[str]":
    """Let a thread of the loop's executor work; return when it does."""
    task = asyncio.create_task(asyncio.to_thread(gate.work))
    while not gate.begun.is_set():  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0)
    return task


def use(threads: DaemonThreads) -> None:
    asyncio.get_running_loop().set_default_executor(threads)


def test_a_request_that_was_cancelled_is_over_when_its_threads_are() -> None:
    gate = Gate()

    async def work() -> None:
        use(DaemonThreads(4, "t"))

        async def request() -> None:
            async with threads_ended():
                (await in_work(gate)).cancel()

        over = asyncio.create_task(request())
        while not gate.begun.is_set():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not over.done()
        gate.open.set()
        await over
        assert gate.ended

    run(work())


def test_what_fails_after_its_request_was_cancelled_is_not_in_the_log() -> None:
    gate = Gate()
    logged: list[str] = []

    def fail() -> None:
        gate.work()
        raise ValueError("it was cut off")

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: logged.append(told["message"]))
        use(DaemonThreads(4, "t"))
        async with threads_ended():
            task = asyncio.create_task(asyncio.to_thread(fail))
            while not gate.begun.is_set():  # noqa: ASYNC110 - a thread sets it
                await asyncio.sleep(0)
            task.cancel()
            gate.open.set()
        del task
        await asyncio.sleep(0)
        gc.collect()

    run(work())
    assert logged == []


def test_a_second_cancellation_waits_for_no_thread() -> None:
    gate = Gate()

    async def work() -> None:
        use(DaemonThreads(4, "t"))

        async def request() -> None:
            async with threads_ended():
                await in_work(gate)

        over = asyncio.create_task(request())
        while not gate.begun.is_set():  # noqa: ASYNC110 - a thread sets it
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        over.cancel()
        with pytest.raises(asyncio.CancelledError):
            await over

    run(work())  # nor does the loop, which ends its executor
    assert not gate.ended
    gate.open.set()


def test_threads_are_used_again_bounded_and_named() -> None:
    async def work() -> None:
        use(DaemonThreads(2, "t"))
        gates = [Gate() for _ in range(3)]
        tasks = [asyncio.create_task(asyncio.to_thread(gate.work)) for gate in gates]
        while not (gates[0].begun.is_set() and gates[1].begun.is_set()):  # noqa: ASYNC110 - threads set them
            await asyncio.sleep(0)
        assert not gates[2].begun.is_set()
        for gate in gates:
            gate.open.set()
        assert {await task for task in tasks} <= {"t-1", "t-2"}
        assert await asyncio.to_thread(lambda: threading.current_thread().daemon)

    run(work())


def test_what_fails_or_was_cancelled_before_it_began_is_told() -> None:
    threads = DaemonThreads(1, "t")
    gate = Gate()

    def fail() -> None:
        raise ValueError("no")

    first, second, third = threads.submit(gate.work), threads.submit(gate.work), threads.submit(fail)
    assert second.cancel() or second.running()
    gate.open.set()
    assert first.result() == "t-1"
    with pytest.raises(ValueError, match="no"):
        third.result()
    threads.shutdown()
    last: Future[int] = threads.submit(lambda: 1)
    assert not last.done()  # nobody is there any more


def test_a_thread_of_its_own_knows_the_context_and_takes_none_from_others() -> None:
    async def work() -> None:
        use(DaemonThreads(1, "t"))
        gate = Gate()
        await in_work(gate)
        WORD.set("here")
        assert await on_own_thread(WORD.get, "own") == "here"
        gate.open.set()

    run(work())
