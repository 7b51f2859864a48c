"""Where requests wait while there is no container: what Knative calls the activator.

The balancer sends here only what it has nobody else for. Each request is kept until there is a container, and
then refused as by a busy one, which the balancers with a busy signal offer to another: so it is worked on
once, whoever has waited.
"""

from __future__ import annotations

import socketserver
import threading
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from harness.contract import BUSY_HEADER
from harness.fleet.listening import listening
from harness.fleet.ports import HOST

LONGEST_LINE: Final = 65536
READ_WITHIN_S: Final = 5.0
LENGTH: Final = b"content-length:"
REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\n%b: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    % BUSY_HEADER.encode()
)


class WaitingRoom:
    """It, on threads of this process for the length of a `with` block; at first there is a container.

    Attributes:
        port: of the loopback address, where it listens once it does.
    """

    def __init__(self) -> None:
        self.port = 0
        self._somebody = threading.Event()
        self._somebody.set()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Begin to keep what comes.

        Raises:
            StartError: the machine has no free port.
        """
        somebody = self._somebody

        class Keeping(socketserver.StreamRequestHandler):
            timeout = READ_WITHIN_S

            def handle(self) -> None:
                try:
                    if self._read():
                        somebody.wait()
                        self.wfile.write(REFUSAL)
                except (OSError, ValueError):
                    return  # it hung up, or spoke something else

            def _read(self) -> bool:
                """Read a whole request; return whether there was one: a probe says nothing."""
                begun, length = False, 0
                while (line := self.rfile.readline(LONGEST_LINE)).strip():
                    begun = True
                    if line.lower().startswith(LENGTH):
                        length = int(line[len(LENGTH) :])
                self.rfile.read(length)
                return begun

        self.port = self._open.enter_context(listening(HOST, Keeping))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let everybody go, and give the port back."""
        self._somebody.set()
        self._open.close()

    def somebody_is_there(self, *, there: bool) -> None:
        """Let those who wait go, for there is a container; or keep those who come from now on."""
        if there:
            self._somebody.set()
        else:
            self._somebody.clear()
