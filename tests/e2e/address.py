"""An address that leads now here, now there, as a name or a virtual address does."""

import asyncio
import threading
from contextlib import suppress
from typing import Self

from harness.fleet.ports import HOST
from tests.e2e.waiting import DEADLINE_S


class Address:
    """Passes bytes on: new connections lead to `target`, and old ones stay where they were.

    Args:
        target: port that new connections lead to; may be changed.

    Attributes:
        opened: connections, so far.
        cut_at_the_next_reply: set it, and the next reply is lost, with its connection; it is then unset.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.opened = 0
        self.cut_at_the_next_reply = False
        self._silent_up_to = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(
            target=self._loop.run_until_complete, args=(self._serve(),), daemon=True
        )
        self._over = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(DEADLINE_S)

    def forget(self) -> None:
        """Answer nothing any more on open connections: the other side has long forgotten them."""
        self._silent_up_to = self.opened

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._forward, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        pipes = asyncio.all_tasks() - {asyncio.current_task()}
        for pipe in pipes:
            pipe.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        number = self.opened
        there_reader, there_writer = await asyncio.open_connection(HOST, self.target)
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(
                self._copy(number, reader, there_writer),
                self._copy(number, there_reader, writer, replies=True),
            )

    async def _copy(
        self,
        number: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        replies: bool = False,
    ) -> None:
        while piece := await reader.read(65_536):
            if replies and self.cut_at_the_next_reply:
                self.cut_at_the_next_reply = False
                break
            if number > self._silent_up_to:
                writer.write(piece)
                await writer.drain()
        if number > self._silent_up_to:
            writer.close()
