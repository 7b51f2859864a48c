"""Finds the address at which pods reach this machine: they try all that it has, and who listens knows."""

from __future__ import annotations

import os
import secrets
import select
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Self

import psutil

from harness.errors import InputError, StartError

VARIABLE: Final = "AGENTRIG_HOST_ADDRESS"
MOST: Final = 24
"""Addresses that are tried: a machine of many containers has one in each of their networks."""
HEARD_S: Final = 0.5
MOST_BYTES: Final = 4096
ANSWER: Final = b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


def addresses(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the addresses at which pods may reach this machine: what the variable says, else all it has.

    Raises:
        InputError: the variable says no address of IPv4.
        StartError: this machine has none but loopback.
    """
    if given := environ.get(VARIABLE, ""):
        if not _is_v4(given):
            raise InputError(f"{VARIABLE}={given}: give an address of IPv4 that this machine has.")
        return (given,)
    up = {name for name, how in psutil.net_if_stats().items() if how.isup}
    found = [
        each.address
        for name, all_of_it in psutil.net_if_addrs().items()
        if name in up
        for each in all_of_it
        if each.family == socket.AF_INET and not ip_address(each.address).is_loopback
    ]
    if not found:
        raise StartError(
            f"this machine has no address but its own loopback, which no pod reaches. {VARIABLE} names one."
        )
    return tuple(dict.fromkeys(found))[:MOST]


def source_towards(address: str) -> str:
    """Return the address of this machine that packets to another have; empty when there is no way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:  # sends nothing
        try:
            asked.connect((address, 9))
        except OSError:
            return ""
        return str(asked.getsockname()[0])


def _is_v4(text: str) -> bool:
    try:
        return ip_address(text).version == 4  # noqa: PLR2004 - of IP
    except ValueError:
        return False


class Meeting:
    """Listens at some addresses of this machine, for the length of a `with` block.

    Args:
        at: the addresses.

    Attributes:
        token: that is told by who comes from a pod of ours.
        met: the addresses at which one came.
    """

    def __init__(self, at: Sequence[str]) -> None:
        self.token = secrets.token_hex(16)
        self.met: set[str] = set()
        self._at = at
        self._listening: dict[socket.socket, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Begin to listen.

        Raises:
            StartError: it can be listened at none of them.
        """
        refused = ""
        with ExitStack() as stack:
            for address in self._at:
                listening = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                try:
                    listening.bind((address, 0))
                    listening.listen(64)
                except OSError as error:
                    refused = f"{address}: {error.strerror}"
                else:
                    self._listening[listening] = address
            if not self._listening:
                raise StartError(
                    f"this machine can't be listened at: {refused}. {VARIABLE} names an address."
                )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        self._listening.clear()
        self._stack.__exit__(kind, error, trace)

    @property
    def places(self) -> tuple[str, ...]:
        """Where it is listened, `host:port` each."""
        return tuple(f"{address}:{each.getsockname()[1]}" for each, address in self._listening.items())

    def hear(self) -> None:
        """Take in who has come since, and return at once."""
        while ready := select.select(list(self._listening), [], [], 0)[0]:
            for listening in ready:
                with listening.accept()[0] as came:
                    if self._is_ours(came):
                        self.met.add(self._listening[listening])

    def _is_ours(self, came: socket.socket) -> bool:
        came.settimeout(HEARD_S)
        heard = b""
        try:
            while b"\n" not in heard and len(heard) < MOST_BYTES:
                block = came.recv(MOST_BYTES)
                if not block:
                    break
                heard += block
            came.sendall(ANSWER)
        except OSError:
            return False
        return self.token.encode() in heard
