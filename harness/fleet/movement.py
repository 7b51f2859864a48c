"""Which container is killed, added or removed when, and what an orchestrator then does about it.

Nothing here starts a process or asks a network: `ContainerActions` does. So it is tested on a clock that
stands still.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final, Protocol

from harness.clock import Clock
from harness.fleet.autoscaler import Autoscaler
from harness.records.setup import Container, FleetEvent
from harness.records.spec import EventSpec

SETTLE_S: Final = 0.5
"""Between the balancers' list without a container and its SIGTERM, at the least: they follow within 30 ms on
a fast machine, and are asked."""

THAW: Final = "thaw"
"""The end of a `freeze`."""
OVERDUE: Final = "overdue"
"""The end of one that did not end in its time."""
GRACE_S: Final = 30.0
"""How long one that is told to stop may take, where no event says it: as on Kubernetes."""
LEAVE: Final = frozenset({"remove", "replace"})
"""The actions after which one is told to stop."""


class ContainerActions(Protocol):
    """What is done to processes and balancers."""

    def start(self) -> Container:
        """Start one more container, and return at once."""
        ...

    def is_ready(self, container: Container, waited_s: float) -> bool:
        """Return whether it answers that it can work; raise when it ended, or takes too long."""
        ...

    def located(self, container: Container) -> Container:
        """Return one that is ready with its address, which may be known only once it runs."""
        ...

    def kill(self, name: str) -> None:
        """Send SIGKILL."""
        ...

    def freeze(self, name: str) -> None:
        """Send SIGSTOP: it stands still, and its sockets go on taking what is sent."""
        ...

    def thaw(self, name: str) -> None:
        """Send SIGCONT."""
        ...

    def is_dead(self, name: str) -> bool:
        """Return whether it has ended."""
        ...

    def stop(self, name: str) -> None:
        """Send SIGTERM, and return at once."""
        ...

    def end(self, name: str) -> None:
        """See to it that one ends by force that was told to stop, and has not in its time."""
        ...

    def is_listed(self, container: Container) -> bool:
        """Return whether a balancer still has it in its list."""
        ...

    def route_to(self, containers: Sequence[Container]) -> None:
        """Give the balancers the list of containers."""
        ...


class State(Enum):
    """Where a container is in its life."""

    STARTING = auto()
    IN = auto()
    KILLED = auto()
    """And nobody has noticed yet."""
    OUT = auto()
    """Not in the balancers' list any more."""
    ENDING = auto()
    """And told to stop."""
    GONE = auto()


@dataclass
class _Member:
    container: Container
    state: State
    since_s: float


class Movement:
    """The containers of a fleet, and what happens to them.

    An event that would end the last container in the list waits until there is another. During a rolling
    update one more is started than there are, and another update or a `remove` waits until it is over; who is
    killed meanwhile is replaced by one of the new ones.

    Args:
        containers: those in the balancers' list when the load begins.
        events: what is to happen.
        seed: draws the containers it happens to.
        actions: does it.
        clock: says what time it is.
        autoscaler: decides how many there are once the load has begun, None for nobody. Who is too many is
            asked to leave before it is ready, or else drawn; whoever is being replaced is left alone.

    Attributes:
        containers: all that have ever been in the list, in the order they came into it.
        events: what was done, in order.
    """

    def __init__(
        self,
        containers: Iterable[Container],
        events: Iterable[EventSpec],
        *,
        seed: int,
        actions: ContainerActions,
        clock: Clock,
        autoscaler: Autoscaler | None = None,
    ) -> None:
        self.containers = tuple(containers)
        self.events: tuple[FleetEvent, ...] = ()
        self._members = {c.name: _Member(c, State.IN, clock.now()) for c in self.containers}
        events = tuple(events)
        self._planned = timetable(events)
        self._grace_s = grace_s(events)
        self._due: list[str] = []
        self._draw = random.Random(f"{seed}/fleet")
        self._actions = actions
        self._clock = clock
        self._autoscaler = autoscaler
        self._start_s: float | None = None
        self._leaving: tuple[str, ...] = ()
        self._old: list[str] = []
        self._fresh: str | None = None
        self._frozen: list[str] = []

    @property
    def settled(self) -> bool:
        """Whether none is starting, and none is on its way out."""
        return not any(map(self._names, (State.STARTING, State.KILLED, State.OUT)))

    def renew(self) -> tuple[str, ...]:
        """Start a new container for each that is there, and return the names of these: they leave.

        Each `step` brings that on: once all that are new are ready, the list has only them.
        """
        self._leaving = tuple(self._names(State.IN))
        for _ in self._leaving:
            self._start()
        return self._leaving

    def begin(self, start_s: float) -> None:
        """Let the events count from the Unix time `start_s`."""
        self._start_s = start_s
        if self._autoscaler is not None:
            self._autoscaler.begin(start_s, len(self._there()))

    def step(self) -> None:
        """Do what is due; nothing in it takes long."""
        self._notice_deaths()
        self._stop_those_out()
        self._see_them_end()
        self._take_in()
        self._let_go()
        self._roll()
        elapsed_s = self._clock.now() - self._start_s if self._start_s is not None else -1.0
        while self._planned and self._planned[0][0] <= elapsed_s:
            self._due.append(self._planned.pop(0)[1])
        self._due = [action for action in self._due if not self._do(action)]
        renewed = self._old or self._fresh or self._leaving
        if self._autoscaler is not None and elapsed_s >= 0 and not renewed:
            self._scale(self._autoscaler.wanted(self._clock.now(), self._there()))

    # --- what was asked for ------------------------------------------------------------
    def _do(self, action: str) -> bool:
        """Return whether it could be done."""
        if action == "add":
            self._note(action, self._start())
            return True
        if action == THAW:
            self._thaw()
            return True
        if action in LEAVE and (self._old or self._fresh):
            return False
        if action == "replace":
            self._old = self._names(State.IN)
            self._roll()
            return True
        return self._befalls_one(action)

    def _befalls_one(self, action: str) -> bool:
        """Do what happens to one that is drawn; return whether there was one whom it may befall."""
        there = [name for name in self._names(State.IN) if name not in self._frozen]
        if len(there) <= 1:
            return False
        name = self._draw.choice(there)
        at_s = self._clock.now()  # what follows from it is seen while an engine is still about it
        if action == "freeze":
            self._actions.freeze(name)
            self._frozen.append(name)
            self._note(action, name, at_s)
            return True
        if action == "kill":
            self._actions.kill(name)
            self._leaves(name, action, State.KILLED, at_s)
        else:
            self._leaves(name, action, State.OUT)
            self._route()
        return True

    def _thaw(self) -> None:
        """Let the one go on that was frozen first; none where its freezing still waits."""
        if self._frozen:
            name = self._frozen.pop(0)
            self._actions.thaw(name)
            self._note(THAW, name)

    def _leaves(self, name: str, action: str, state: State, at_s: float | None = None) -> None:
        self._amend(name, left_s=self._note(action, name, at_s))
        self._turns(name, state)

    def _amend(self, name: str, **known: Any) -> None:
        self.containers = tuple(
            replace(each, **known) if each.name == name else each for each in self.containers
        )

    def _start(self) -> str:
        container = self._actions.start()
        self._members[container.name] = _Member(container, State.STARTING, self._clock.now())
        return container.name

    def _scale(self, wanted: int) -> None:
        """Have as many as an autoscaler wants: who is not ready yet goes first, as of a ReplicaSet."""
        there = self._there()
        for _ in range(wanted - len(there)):
            self._note("add", self._start())
        starting = self._names(State.STARTING)[::-1][: max(0, len(there) - wanted)]
        for name in starting:
            self._note("remove", name)
            self._actions.stop(name)
            self._turns(name, State.ENDING)
        ready = [name for name in self._names(State.IN) if name not in self._frozen]
        surplus = min(len(ready), len(there) - wanted - len(starting))
        if surplus > 0:
            for name in self._draw.sample(ready, surplus):
                self._leaves(name, "remove", State.OUT)
            self._route()

    def _there(self) -> list[str]:
        """Return those that a ReplicaSet counts: of one that was killed there is another soon."""
        return [name for state in (State.IN, State.STARTING, State.KILLED) for name in self._names(state)]

    # --- what follows from it ----------------------------------------------------------
    def _notice_deaths(self) -> None:
        dead = [name for name in self._names(State.KILLED) if self._actions.is_dead(name)]
        for name in dead:
            self._turns(name, State.GONE)
            self._make_up_for(name)
        if dead:
            self._route()

    def _make_up_for(self, name: str) -> None:
        """Have another one in place of one that was killed: the last new one of an update, or one more."""
        if name in self._old:
            self._old.remove(name)
            if self._fresh is not None and not self._old:
                self._fresh = None
                return
        started = self._start()
        if name == self._fresh:
            self._fresh = started

    def _stop_those_out(self) -> None:
        for name in self._names(State.OUT):
            member = self._members[name]
            settled = self._clock.now() - member.since_s >= SETTLE_S
            if settled and not self._actions.is_listed(member.container):
                told_s = self._clock.now()
                self._actions.stop(name)
                self._amend(name, told_s=told_s)
                self._turns(name, State.ENDING)

    def _see_them_end(self) -> None:
        for name in self._names(State.ENDING):
            if self._actions.is_dead(name):
                self._turns(name, State.GONE)
            elif self._clock.now() - self._members[name].since_s >= self._grace_s:
                self._note(OVERDUE, name)
                self._actions.end(name)
                self._turns(name, State.GONE)

    def _take_in(self) -> None:
        starting = [self._members[name] for name in self._names(State.STARTING)]
        now_s = self._clock.now()
        ready = [m for m in starting if self._actions.is_ready(m.container, now_s - m.since_s)]
        for member in ready:
            member.container = self._actions.located(member.container)
            self._turns(member.container.name, State.IN)
            self.containers = (*self.containers, replace(member.container, joined_s=now_s))
        if ready:
            self._route()

    def _let_go(self) -> None:
        """Take those out that have been replaced, all at once."""
        if not self._leaving or self._names(State.STARTING):
            return
        for name in self._leaving:
            if self._members[name].state is State.IN:
                self._leaves(name, "remove", State.OUT)
        self._leaving = ()
        self._route()

    def _roll(self) -> None:
        """Go on with a rolling update: take an old one out once a new one is in, and start the next one."""
        if self._fresh is not None and self._members[self._fresh].state is State.IN:
            name = next((old for old in self._old if self._may_leave(old)), None)
            if name is None:  # one was killed, and nobody has noticed; or it stands still, and goes on later
                return
            self._old.remove(name)
            self._fresh = None
            self._leaves(name, "replace", State.OUT)
            self._route()
        if self._old and self._fresh is None and not self._names(State.OUT):
            self._fresh = self._start()

    def _may_leave(self, name: str) -> bool:
        return self._members[name].state is State.IN and name not in self._frozen

    def _turns(self, name: str, state: State) -> None:
        self._members[name].state, self._members[name].since_s = state, self._clock.now()

    def _names(self, state: State) -> list[str]:
        return [name for name, member in self._members.items() if member.state is state]

    def _route(self) -> None:
        self._actions.route_to([self._members[name].container for name in self._names(State.IN)])

    def _note(self, action: str, name: str, at_s: float | None = None) -> float:
        """Note what was done, at Unix time `at_s` or now, and return when."""
        time_s = self._clock.now() if at_s is None else at_s
        event = FleetEvent(time_s=time_s, action=action, container=name)
        self.events = (*self.events, event)
        return event.time_s


def grace_s(events: Iterable[EventSpec]) -> float:
    """Return how long a container that events tell to stop may take to end: as the longest of them says."""
    return max((event.grace_s for event in events if event.action in LEAVE), default=GRACE_S)


def timetable(events: Iterable[EventSpec]) -> list[tuple[float, str]]:
    """Return when each action is due, in seconds since the load began, in order."""
    each = [(event.at_s + number * event.every_s, event) for event in events for number in range(event.times)]
    thaws = [(at_s + event.for_s, THAW) for at_s, event in each if event.action == "freeze"]
    return sorted([*((at_s, event.action) for at_s, event in each), *thaws], key=lambda due: due[0])
