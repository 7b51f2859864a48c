"""The processes of a fleet by name: started, watched, measured, and stopped together."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from harness.clock import Clock
from harness.errors import ChildDiedError, InputError
from harness.fleet.commands import Command
from harness.fleet.readiness import ReadinessTarget
from harness.process.child import KILL, Child

GRACE_S: Final = 30.0
"""How long a process may take to end: it hands in its last spans meanwhile, which a run must not lose."""
GIVEN_UP_S: Final = 5.0
"""The same where a run is given up, and nobody looks at its spans."""


class Processes:
    """All that a fleet has started, those that are gone included.

    Args:
        log_dir: for what each prints.
        clock: for waiting.
    """

    def __init__(self, log_dir: Path, clock: Clock) -> None:
        self._log_dir = log_dir
        self._clock = clock
        self._children: dict[str, Child] = {}
        self._meant_to_end: set[str] = set()

    def __getitem__(self, name: str) -> Child:
        """Return the process of that name.

        Raises:
            InputError: there is no such process.
        """
        if name not in self._children:
            raise InputError(f"{name}: no such process in this fleet; there are {', '.join(self._children)}")
        return self._children[name]

    def launch(
        self, stack: ExitStack, group: Mapping[str, tuple[Command, str]]
    ) -> tuple[list[ReadinessTarget], list[Child]]:
        """Start processes side by side.

        Returns:
            Where each says that it is ready, and the list of those that `stack` will stop together,
            for `start` to add to. They get time to hand in their spans, unless an error ends the run.
        """
        together: list[Child] = []
        stack.push(partial(_stop_together, together))
        targets = [self.start(name, command, ready, together) for name, (command, ready) in group.items()]
        return targets, together

    def start(self, name: str, command: Command, ready: str, together: list[Child]) -> ReadinessTarget:
        """Start one process, to be stopped with those in `together`; `ready` is where it says that it is."""
        child = Child(name, command.argv, command.env, self._log_dir, self._clock, workdir=command.workdir)
        self._children[name] = child
        together.append(child)
        child.start()
        return ReadinessTarget(child, ready)

    def check(self) -> None:
        """Look whether all still run.

        Raises:
            ChildDiedError: one does not, and was not meant to end.
        """
        for name, child in self._children.items():
            if name not in self._meant_to_end and (death := child.poll()):
                raise ChildDiedError(death)

    def usage(self) -> dict[str, tuple[float, float]]:
        """Return CPU seconds so far and resident MiB of each process with those it started."""
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


def _stop_together(children: Sequence[Child], kind: object, *_: object) -> None:
    with ExitStack() as stack:
        for child in children:
            stack.callback(child.stop, grace_s(kind))
        for child in children:
            child.ask_to_stop()
