"""What a kind of weather is: what befalls a piece of bytes, an open connection, or the store itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from harness.records.weather import Target, WeatherRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Bytes on their way.

    Attributes:
        reply: whether they come from the one that is called.
        size: how many.
        draw: of this piece alone: the same piece draws the same in every run.
    """

    reply: bool
    size: int
    draw: random.Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a piece.

    Attributes:
        after_s: it passes so much later.
        then: `pass`; `hold` it until the weather is over; `swallow` it, and all that follows on its
            connection; `reset` the connection in its place.
    """

    after_s: float = 0.0
    then: Literal["pass", "hold", "swallow", "reset"] = "pass"


PASSES = Fate()


class StoreServer(Protocol):
    """The store itself, where the weather is its own."""

    def tell(self, *words: str) -> None:
        """Give it a command of an operator."""
        ...

    def figure(self, section: str, name: str) -> float | None:
        """Return a figure that it tells of itself, None where it tells none."""
        ...

    def await_replica(self) -> None:
        """Return once the replica has what the primary has."""
        ...

    def kill(self) -> None:
        """End its primary, as a power cut does."""
        ...

    def promote(self) -> None:
        """Make the replica the primary, and let the address lead there."""
        ...


class Host(Protocol):
    """What containers find on their machine, where the weather is of that; None is for all of them."""

    def names(self, container: str | None, *, fail: bool, after_s: float = 0.0) -> None:
        """Let the name of the model lead nowhere, which is told so much later; or lead there again."""
        ...

    def descriptors(self, container: str | None, spare: int | None) -> None:
        """Let it open so many file descriptors more; or, with None, as many as it might before."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WeatherKind:
    """One kind of weather.

    Attributes:
        only: the one target that it befalls, None for any that bytes go to.
        takes: the keys of a rule that say how much, or how likely: another kind's would be of no effect.
        fate: of a piece that is on its way while the weather lasts.
        at_begin: what befalls connections that are open then: `nothing`; they are `reset`; or they go `mute`:
            they stay open, and never again does anything pass.
        at_end: likewise of those that are open when it is over.
        silent: whether connections that are made while it lasts are mute from the first byte on.
        blocks: whether nothing can be kept in the store while it lasts, by the container that it befalls.
        spreads: whether new connections lead to all replicas in turn while it lasts, and then to the last.
        leaves_another: whether from its end on new connections lead to a server that does something else.
        ours: whether it befalls the reference agent alone: nobody knows how to bring it upon another one.
        before: what is waited for before it begins; no time of that is weather.
        begin, end: what is done to the store itself.
        host_begin, host_end: what is done to the machine of the containers.
    """

    only: Target | None = None
    takes: tuple[str, ...] = ()
    fate: Callable[[WeatherRule, Piece], Fate] = lambda _rule, _piece: PASSES
    at_begin: Literal["nothing", "reset", "mute"] = "nothing"
    at_end: Literal["nothing", "reset"] = "nothing"
    silent: bool = False
    blocks: bool = False
    spreads: bool = False
    leaves_another: bool = False
    ours: bool = False
    before: Callable[[WeatherRule, StoreServer], None] | None = None
    begin: Callable[[WeatherRule, StoreServer], None] | None = None
    end: Callable[[WeatherRule, StoreServer], None] | None = None
    host_begin: Callable[[WeatherRule, Host], None] | None = None
    host_end: Callable[[WeatherRule, Host], None] | None = None


def befallen(rule: WeatherRule) -> str | None:
    """Return the name of the one container that a rule is for, None for all."""
    return None if rule.container is None else f"agent-{rule.container}"
