"""A caller that disconnects: the work for its request is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the caller has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_disconnected(receive: Receive, work: Awaitable[T]) -> T:
    """Await `work`, or cancel it when the caller disconnects.

    Raises:
        ClientDisconnect: the caller disconnected.
    """
    task = asyncio.ensure_future(work)
    disconnected = asyncio.ensure_future(wait_for_disconnect(receive))
    try:
        await asyncio.wait((task, disconnected), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        disconnected.cancel()
        task.cancel()
        await asyncio.wait((task,))  # its slot is free only when it has really ended
