"""Trouble that expires: it is in place while whoever asked for it says so again and again.

A load that was killed can take nothing back. What it asked for is over when its lease is, and the
simulator's own configuration holds again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.simulator_config import SimulatorConfig


@dataclass(frozen=True, slots=True)
class Lease:
    """A configuration that holds for a time.

    Attributes:
        name: of who asked for it.
        own: the configuration that holds again afterwards.
        until_s: Unix time of its end.
    """

    name: str
    own: SimulatorConfig
    until_s: float


class Leases:
    """The one lease that there is at a time.

    Args:
        now: Unix seconds, steady.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lease: Lease | None = None

    def begin(self, name: str, own: SimulatorConfig, seconds: float) -> None:
        """Begin a lease; one that holds is taken over, and what came before it is what holds again.

        Args:
            name: of who asks for it.
            own: the configuration of now.
            seconds: how long it holds, unless it is renewed.
        """
        before = self._lease.own if self._lease else own
        self._lease = Lease(name, before, self._now() + seconds)

    def renew(self, name: str, seconds: float) -> bool:
        """Let a lease hold `seconds` from now on; return False when it is not this one that holds."""
        lease = self._lease
        if lease is None or lease.name != name:
            return False
        self._lease = Lease(name, lease.own, self._now() + seconds)
        return True

    def end(self, name: str) -> SimulatorConfig | None:
        """End a lease; return what holds again, None when it is not this one that held."""
        lease = self._lease
        if lease is None or lease.name != name:
            return None
        self._lease = None
        return lease.own

    def expired(self) -> SimulatorConfig | None:
        """End a lease whose time is over; return what holds again, None when none is."""
        lease = self._lease
        return self.end(lease.name) if lease is not None and self._now() >= lease.until_s else None

    def forget(self) -> None:
        """End a lease, and leave in place what somebody else has put there."""
        self._lease = None
