"""Stands for all other machines: a proxy that refuses every request, and remembers for whom each was."""

from __future__ import annotations

import socketserver
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from harness.fleet.listening import listening
from harness.fleet.ports import HOST

MOST_HOSTS: Final = 100
"""Hosts that are told apart; what names more is counted together."""
OTHERS: Final = "others"
LONGEST_LINE: Final = 8192
LONGEST_HOST: Final = 255
READ_WITHIN_S: Final = 5.0
_SAID = b"agentrig lets no request leave this machine; [agent] outside = [...] allows a host\n"
REFUSAL: Final = (
    b"HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-type: text/plain\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_SAID), _SAID)
)


class RefusingProxy:
    """The proxy, on a thread of this process for the length of a `with` block.

    Args:
        host: the address of this machine at which it listens.

    Attributes:
        port: where it listens there, once it does.
    """

    def __init__(self, host: str = HOST) -> None:
        self.port = 0
        self._host = host
        self._tried: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Begin to refuse.

        Raises:
            StartError: the machine has no free port.
        """
        noted = self._note

        class Refusal(socketserver.StreamRequestHandler):
            timeout = READ_WITHIN_S

            def handle(self) -> None:
                try:
                    line = self.rfile.readline(LONGEST_LINE)
                    if line:
                        noted(host_of(line.decode("latin-1")))
                    self.wfile.write(REFUSAL)
                except OSError:
                    return  # it hung up

        self.port = self._open.enter_context(listening(self._host, Refusal))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, and give the port back."""
        self._open.close()

    @property
    def tried(self) -> Mapping[str, int]:
        """How often each host was asked for."""
        with self._lock:
            return dict(self._tried)

    def _note(self, host: str) -> None:
        with self._lock:
            known = host in self._tried or len(self._tried) < MOST_HOSTS
            self._tried[host if known else OTHERS] += 1


def host_of(line: str) -> str:
    """Return for whom a request is, from its first line; `?` when that says nothing."""
    words = line.split()
    if len(words) < 2:  # noqa: PLR2004 - a method and a target
        return "?"
    target = words[1]
    try:
        host = target if words[0] == "CONNECT" else urlsplit(target).netloc
    except ValueError:
        return "?"
    return host.rpartition("@")[2][:LONGEST_HOST] or "?"
