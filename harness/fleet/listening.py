"""A small server of this process: each connection has a thread, for the length of a `with` block."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from harness.errors import StartError

POLL_S: Final = 0.1
"""How long its end may take."""


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


@contextmanager
def listening(host: str, handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    """Let a handler have what comes to a free port of an address of this machine, and yield that port.

    Raises:
        StartError: the machine has no free port, or takes no more threads.
    """
    with ExitStack() as stack:
        try:
            server = _Server((host, 0), handler)
        except OSError as error:
            raise StartError(f"no free port on {host}: {error.strerror}. Close some programs.") from error
        stack.callback(server.server_close)
        try:
            threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True).start()
        except RuntimeError as error:
            raise StartError(f"this machine takes no more threads: {error}. Close some programs.") from error
        stack.callback(server.shutdown)
        yield server.server_address[1]
