"""What weather an experiment asks for between the containers and what they call, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.simulator_config import Distribution, Probability, Seconds, Strict

Target = Literal["store", "model", "tools", "container"]
"""What containers call: the session store, the model API, the tool server; or the container itself."""


class WeatherRule(Strict):
    """One kind of weather, on a time window.

    Attributes:
        kind: a name of the registry in `harness/weather/kinds`, such as `stall`.
        target: whose connections it befalls. The tools are called where `simulator.tool_turns` lets them be.
        window_s: [from, to) in seconds since the load began.
        every_s: and again each so many seconds.
        times: how often in all.
        container: number of the one container that it befalls, 1 for the first; without it, it befalls all.
        probability: of `lost_reply`, drawn for each reply.
        delay: of `latency`, how much later a piece comes, drawn for each; of `clock_jump`, by how much the
            clock jumps; of `unresolved`, what the resolver takes.
        bytes_per_s: of `bandwidth`, what passes each way of a connection.
        memory_mb: of `eviction`, what the store may hold beyond what it holds then.
        spare: of `descriptors`, those that a container may still open; with none, not even those that it
            closes meanwhile.
    """

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,40}$")]
    target: Target = "store"
    window_s: tuple[Seconds, Seconds]
    every_s: Annotated[float, Field(gt=0, le=3600)] = 3600.0
    times: Annotated[int, Field(ge=1, le=1000)] = 1
    container: Annotated[int, Field(ge=1, le=32)] | None = None
    probability: Probability = 1.0
    delay: Distribution = Distribution(median_s=0.2)
    bytes_per_s: Annotated[float, Field(gt=0)] = 20_000.0
    memory_mb: Annotated[float, Field(gt=0, le=10_000)] = 1.0
    spare: Annotated[int, Field(ge=0, le=10_000)] = 0

    @model_validator(mode="after")
    def _window_in_order(self) -> Self:
        if self.window_s[0] >= self.window_s[1]:
            msg = "window_s must be [from, to] with from < to"
            raise ValueError(msg)
        if self.times > 1 and self.every_s <= self.window_s[1] - self.window_s[0]:
            msg = "every_s must be longer than the window: the next begins when the one before is over"
            raise ValueError(msg)
        return self

    @property
    def windows(self) -> Iterator[tuple[float, float]]:
        """Each time that it is there, [from, to) in seconds since the load began, in order."""
        from_s, to_s = self.window_s
        return ((from_s + n * self.every_s, to_s + n * self.every_s) for n in range(self.times))

    def slowed(self, longer: float) -> WeatherRule:
        """Return it so many times later and longer: in slow motion it meets as many requests."""
        from_s, to_s = self.window_s
        every_s = min(3600.0, self.every_s * longer)
        return self.model_copy(update={"window_s": (from_s * longer, to_s * longer), "every_s": every_s})


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One TCP connection of a container, as whoever passed its bytes on saw it.

    Attributes:
        container: the `service.instance.id` of its caller.
        target: what was called.
        opened_s: Unix seconds; closed_s: None while it is open.
        requests: pieces that the caller sent.
        dead_used: whether the caller sent something over it after a restore, when it was long forgotten.
    """

    container: str
    target: str
    opened_s: float
    closed_s: float | None = None
    requests: int = 0
    dead_used: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredCopy:
    """A container that was restored, and its first requests after that.

    Attributes:
        container: its `service.instance.id`.
        restored_s: when it went on, in Unix seconds.
        hooked: whether the start-up hook was in it: else its random states, its names and its clock are not
            those of a copy.
        status: of the first request's answer, 0 for none; error: what it says went wrong.
        trace_id: of that request.
        took_s: how long it took.
        failed: what was wrong with those of the requests beside it that were not answered; nothing is said
            of an agent that answers none without ids.
        sessions, requests: the ids that the container made for requests which had none.
        stamp: what `/ping` then said of its last change, in Unix seconds; None for nothing.
    """

    container: str
    restored_s: float
    hooked: bool
    status: int
    trace_id: str
    took_s: float
    error: str | None = None
    failed: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    stamp: float | None = None
