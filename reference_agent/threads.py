"""Threads for what blocks: a request's slot is kept until they have ended, and none holds up the exit.

Cancelling a task that waits for a thread ends the waiting, not the thread. So each request knows the
threads that work for it, and is over when they are. Python joins the threads of its own executor when
it exits, however long they take; these are daemons.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from typing_extensions import override

T = TypeVar("T")
P = ParamSpec("P")
_of_request: ContextVar[set[Future[Any]] | None] = ContextVar("threads_of_request", default=None)


@asynccontextmanager
async def threads_ended() -> AsyncIterator[None]:
    """Wait, on leaving, for the threads that were begun within and still work.

    A second cancellation, such as that of a server that leaves, ends the waiting.
    """
    at_work: set[Future[Any]] = set()
    _of_request.set(at_work)
    try:
        yield
    finally:
        while ending := [asyncio.wrap_future(future) for future in tuple(at_work)]:
            ended, _ = await asyncio.wait(ending)
            for each in ended:
                if not each.cancelled():
                    each.exception()  # who waited for it was told; asyncio logs what nobody has looked at


class DaemonThreads(ThreadPoolExecutor):
    """An executor whose threads end with the process; asyncio takes no other class than its base.

    Args:
        most: threads.
        name: of the threads.
    """

    def __init__(self, most: int, name: str) -> None:
        super().__init__(1)  # it starts no thread of its own: `submit` is what would
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._most = most
        self._name = name
        self._begun = 0
        self._idle = threading.Semaphore(0)

    @override
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Let a thread call `fn`."""
        future: Future[T] = Future()
        of_request = _of_request.get()
        if of_request is not None:
            of_request.add(future)
            future.add_done_callback(of_request.discard)
        self._jobs.put(lambda: _work(future, lambda: fn(*args, **kwargs)))
        if not self._idle.acquire(blocking=False) and self._begun < self._most:
            self._begun += 1
            name = f"{self._name}-{self._begun}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        return future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads end when they have nothing more to do; never waits for one that is at work."""
        for _ in range(self._begun):
            self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # it holds what a request holds
            self._idle.release()


def _work(future: Future[T], call: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it is the caller's
        future.set_exception(error)
    else:
        future.set_result(result)


async def on_own_thread(call: Callable[[], T], name: str) -> T:
    """Await `call` on a thread of its own: for what may hang, and must take no thread from others."""
    future: Future[T] = Future()
    run = copy_context().run
    threading.Thread(target=run, args=(_work, future, call), name=name, daemon=True).start()
    return await asyncio.wrap_future(future)
