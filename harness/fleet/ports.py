"""Free loopback ports that stay reserved until the fleet is gone."""

from __future__ import annotations

import socket
from typing import Self

from harness.errors import StartError

HOST = "127.0.0.1"


class Ports:
    """Reserves ports; each is held until the end of the `with` block.

    A held port is bound but not listened on, so that no other program gets it, neither by
    asking for it nor as the near end of a connection. A child may bind it all the same: with
    SO_REUSEADDR on both sockets Linux allows that, and every common server sets it. It is
    set here *after* the bind, which is thereby exclusive against other harnesses.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def __enter__(self) -> Self:
        """Begin with no port held."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give every port back."""
        for held in self._held:
            held.close()
        self._held.clear()

    def reserve(self) -> int:
        """Return a free port of the loopback address, and hold it.

        Raises:
            StartError: the machine has none left.
        """
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            holder.bind((HOST, 0))
        except OSError as error:
            holder.close()
            raise StartError(f"no free port on {HOST}: {error.strerror}. Close some programs.") from error
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.append(holder)
        port: int = holder.getsockname()[1]
        return port
