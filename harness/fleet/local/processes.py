"""What a fleet has started, by name: watched, measured, and stopped together."""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from harness.clock import Clock
from harness.errors import InputError
from harness.fleet.commands import Command
from harness.fleet.readiness import ReadinessTarget, Watched
from harness.process.child import KILL, STILL_S, Child

GRACE_S: Final = 30.0
"""How long a process may take to end: it hands in its last spans meanwhile, which a run must not lose."""
GIVEN_UP_S: Final = 5.0
"""The same where a run is given up, and nobody looks at its spans."""


class Running(Watched, Protocol):
    """A process of this machine (`Child`), or what is started and ended as one."""

    def start(self) -> None:
        """Start it.

        Raises:
            StartError: it can't be started.
        """
        ...

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it isn't running."""
        ...

    def ask_to_stop(self) -> None:
        """Let it end by itself, and return at once."""
        ...

    def stop(self, grace_s: float) -> None:
        """Let it end, and end it when it hasn't after `grace_s`."""
        ...

    def check(self, still_s: float = STILL_S) -> None:
        """Look whether it runs; see `Child.check`.

        Raises:
            ChildDiedError: it does not.
            StartError: it stands still for longer than `still_s`.
        """
        ...

    def usage(self) -> tuple[float, float]:
        """Return CPU seconds so far and resident MiB; the last known once it ended."""
        ...


class Processes:
    """All that a fleet has started, those that are gone included.

    Args:
        log_dir: for what each prints.
        clock: for waiting.
    """

    def __init__(self, log_dir: Path, clock: Clock) -> None:
        self._log_dir = log_dir
        self._clock = clock
        self._children: dict[str, Running] = {}
        self._meant_to_end: set[str] = set()
        self._meant_to_stand: set[str] = set()

    def __getitem__(self, name: str) -> Running:
        """Return what has that name.

        Raises:
            InputError: there is no such process.
        """
        if name not in self._children:
            raise InputError(f"{name}: no such process in this fleet; there are {', '.join(self._children)}")
        return self._children[name]

    def launch(self, stack: ExitStack, group: Mapping[str, tuple[Command, str]]) -> list[ReadinessTarget]:
        """Start processes side by side, which `stack` will stop together.

        Returns:
            Where each says that it is ready.
        """
        together = self.together(stack)
        children = {name: self.child(name, command) for name, (command, _) in group.items()}
        for child in children.values():
            self.start(child, together)
        return [ReadinessTarget(children[name], ready) for name, (_, ready) in group.items()]

    @staticmethod
    def together(stack: ExitStack) -> list[Running]:
        """Return a list for `start` to add to, of what `stack` will stop together.

        They get time to hand in their spans, unless an error ends the run.
        """
        together: list[Running] = []
        stack.push(partial(_stop_together, together))
        return together

    def child(self, name: str, command: Command) -> Child:
        """Return a process that is not started yet."""
        return Child(name, command.argv, command.env, self._log_dir, self._clock, workdir=command.workdir)

    def start(self, child: Running, together: list[Running]) -> None:
        """Start something, to be stopped with what is in `together`."""
        self._children[child.name] = child
        together.append(child)
        child.start()

    def check(self, still_s: float = STILL_S) -> None:
        """Look whether all still run.

        Args:
            still_s: for how long one may stand still that was not meant to.

        Raises:
            ChildDiedError: one does not, and was not meant to end.
            StartError: one stands still.
        """
        for name, child in self._children.items():
            if name not in self._meant_to_end:
                child.check(math.inf if name in self._meant_to_stand else still_s)

    def usage(self) -> dict[str, tuple[float, float]]:
        """Return CPU seconds so far and resident MiB of each with what it started."""
        return {name: child.usage() for name, child in self._children.items()}

    def kill(self, name: str, number: signal.Signals = KILL) -> None:
        """Send a signal as part of an experiment: `check` will not mind the end.

        Raises:
            InputError: there is no such process.
        """
        child = self[name]
        self._meant_to_end.add(name)
        child.usage()  # the last chance to see what it cost
        child.send(number)

    def freeze(self, name: str) -> None:
        """Let a process stand still as part of an experiment: `check` will not mind.

        Raises:
            InputError: there is no such process.
        """
        self._meant_to_stand.add(name)
        self[name].send(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let one go on that stands still.

        Raises:
            InputError: there is no such process.
        """
        self[name].send(signal.SIGCONT)
        self._meant_to_stand.discard(name)

    def stop(self, name: str) -> None:
        """Ask a process to end, and return at once.

        Raises:
            InputError: there is no such process.
        """
        child = self[name]
        self._meant_to_end.add(name)
        child.ask_to_stop()


def grace_s(error: object) -> float:
    """Return how long processes may take to end, when `error` (None for none) is why."""
    return GRACE_S if error is None else GIVEN_UP_S


def _stop_together(children: Sequence[Running], kind: object, *_: object) -> None:
    with ExitStack() as stack:
        for child in children:
            stack.callback(child.stop, grace_s(kind))
        for child in children:
            child.ask_to_stop()
