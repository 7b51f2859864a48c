"""What a fleet is to those who drive one, wherever its containers run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from harness.outside.http import Part
from harness.process.child import STILL_S
from harness.records.setup import Container, FleetEvent, Window
from harness.records.weather import Connection


class Fleet(Protocol):
    """Capture, simulator, tool server, agents and balancers, up and down as one: a `with` block is its life.

    It ends with the thread that entered it, whatever ends that; nothing of it is left then.
    """

    def __enter__(self) -> Self:
        """Start everything, and return once all of it is ready.

        Raises:
            StartError: something can't be had, or did not get ready in time.
            ChildDiedError: something ended meanwhile. Nothing is left running in either case.
        """
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Stop everything in reverse, so that each has somebody to hand its last spans to."""
        ...

    # --- where it is -------------------------------------------------------------------
    @property
    def urls(self) -> tuple[str, ...]:
        """Where the balancers listen."""
        ...

    @property
    def simulator(self) -> Part:
        """The model API simulator, as it is told things."""
        ...

    @property
    def tools_url(self) -> str:
        """Where the tool server listens."""
        ...

    @property
    def capture_url(self) -> str:
        """Where the capture listens."""
        ...

    @property
    def containers(self) -> tuple[Container, ...]:
        """The agents that the balancers were told of, those that are gone included."""
        ...

    @property
    def image(self) -> str:
        """What all agents are made of, by its digest; empty of processes."""
        ...

    # --- what happens to it ------------------------------------------------------------
    def begin(self, start_s: float) -> None:
        """The load begins at the Unix time `start_s`: the plan's events count from it."""
        ...

    def step(self) -> None:
        """Do what is due, and look whether all still run. To be called some ten times a second.

        Raises:
            ChildDiedError: one does not, and was not meant to end.
            StartError: a container that was started does not get ready, or a balancer is not told of it.
        """
        ...

    def check(self, still_s: float = STILL_S) -> None:
        """Look whether all still run.

        Args:
            still_s: for how long one may stand still that was not meant to, in seconds.

        Raises:
            ChildDiedError: one does not, and was not meant to end.
            StartError: one stands still.
        """
        ...

    def renew(self) -> None:
        """Replace all agents by new ones, and return when these alone are up; none that runs elsewhere.

        Raises:
            StartError: a new one does not get ready in time, or an old one does not end.
            ChildDiedError: something of the fleet ended meanwhile.
        """
        ...

    def restore(self) -> tuple[float, frozenset[str]]:
        """Let all agents stand still, hours pass, and the agents go on: as restored from a snapshot of now.

        Returns:
            When they went on, in Unix seconds; and those that have the start-up hook, and told so.

        Raises:
            StartError: the simulator does not take that its key is another one.
        """
        ...

    def aside(self) -> AbstractContextManager[Container]:
        """Start one more container that no balancer is told of, for the length of a `with` block.

        Raises:
            StartError: it does not get ready in time.
            ChildDiedError: something of the fleet ended meanwhile.
        """
        ...

    # --- what is seen of it ------------------------------------------------------------
    @property
    def journal(self) -> Path:
        """What the simulator received."""
        ...

    @property
    def traces_raw(self) -> Path:
        """The spans that the capture received; complete once the block has ended."""
        ...

    @property
    def events(self) -> tuple[FleetEvent, ...]:
        """What was done to the agents, in order."""
        ...

    @property
    def windows(self) -> tuple[Window, ...]:
        """The weather that there was."""
        ...

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections of the containers, where weather was asked for."""
        ...

    @property
    def outside(self) -> Mapping[str, int]:
        """The hosts beside this machine that the agents asked for, and how often; they got none of them."""
        ...

    def usage(self) -> Mapping[str, tuple[float, float]]:
        """Return CPU seconds so far and resident MiB of each part, those that are gone included."""
        ...

    def held(self) -> Mapping[str, Mapping[str, float]]:
        """Return what each container holds that is there, by kind, as far as it can be seen."""
        ...

    def store_bytes(self) -> float | None:
        """Return the size of the session store, None where there is none yet."""
        ...

    def log_of(self, container: str) -> tuple[Path, tuple[str, ...]]:
        """Return where a container's log is, and its last lines; none of one that somebody else started."""
        ...
