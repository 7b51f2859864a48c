"""A caller that disconnects: the task that works for it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Receive


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the caller has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def unless_disconnected(receive: Receive) -> AsyncIterator[None]:
    """Cancel what is done within when the caller disconnects.

    Raises:
        ClientDisconnect: the caller disconnected.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("there is no task that could be cancelled")
    cancelled_before = task.cancelling()
    gone = False

    def hang_up(_: asyncio.Task[None]) -> None:
        nonlocal gone
        gone = True
        task.cancel()

    watch = asyncio.create_task(wait_for_disconnect(receive))
    watch.add_done_callback(hang_up)
    try:
        yield
    except asyncio.CancelledError as error:
        # As `asyncio.timeout` does: another cancellation, by the server, is passed on.
        if gone and task.uncancel() <= cancelled_before:
            raise ClientDisconnect from error
        raise
    finally:
        watch.remove_done_callback(hang_up)
        watch.cancel()
