"""Where a fleet listens: free ports of this machine, and a folder of Unix sockets, as long as it is there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from harness.errors import StartError
from harness.process.guard import scratch_folder

HOST = "127.0.0.1"
MOST_FOLDER_BYTES: Final = 90
"""Of a folder of sockets: with its own name, an address of a Unix socket has at most 107."""


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

    def reserve(self, host: str = HOST) -> int:
        """Return a free port of the loopback address, or another one of this machine, and hold it.

        Raises:
            StartError: the machine has none left.
        """
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            holder.bind((host, 0))
        except OSError as error:
            holder.close()
            raise StartError(f"no free port on {host}: {error.strerror}. Close some programs.") from error
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.append(holder)
        port: int = holder.getsockname()[1]
        return port


@contextmanager
def socket_folder() -> Iterator[Path]:
    """Make a folder for Unix sockets that this user alone can enter; it is removed afterwards.

    Not the run's own: its name may be too long for a socket, and its disk may know none.

    Raises:
        StartError: there can be none.
    """
    with scratch_folder("sockets") as folder:
        if len(os.fsencode(folder)) > MOST_FOLDER_BYTES:
            raise StartError(f"{folder}: is too long for a Unix socket. Name a shorter folder with TMPDIR.")
        yield folder
