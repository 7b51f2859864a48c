"""A fleet whose agents are containers; what stands around them are processes, as in a local one.

What the containers call listens at the address that this machine has in their network, and there alone; the
balancers reach the containers in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import httpx

from harness.clock import Clock
from harness.errors import InputError
from harness.fleet.balancers import Balancers
from harness.fleet.docker.container import EngineContainer
from harness.fleet.docker.engine import Engine, engine_socket
from harness.fleet.docker.place import Place
from harness.fleet.images import PORT, REFERENCE, ImageContainers, labels_of
from harness.fleet.local.containers import Containers
from harness.fleet.local.fleet import LocalFleet
from harness.fleet.plan import FleetPlan
from harness.fleet.ports import Ports
from harness.fleet.surroundings import SESSIONS
from harness.records.setup import Container


class DockerFleet(LocalFleet):
    """The fleet.

    Args:
        plan: what is to run.
        clock: for waiting.
        on_phase: told what begins, for the person who waits.
        environ: the environment of which processes get a part, containers none.
        engine: that has the containers; the one that `environ` names by default.
    """

    def __init__(
        self,
        plan: FleetPlan,
        *,
        clock: Clock | None = None,
        on_phase: Callable[[str], None] = lambda _: None,
        environ: Mapping[str, str] = os.environ,
        engine: Engine | None = None,
    ) -> None:
        super().__init__(plan, clock=clock, on_phase=on_phase, environ=environ)
        if plan.agent_command:
            raise InputError("a command starts a process: of containers give an image")
        self._engine = engine or Engine(engine_socket(environ))
        self._place: Place

    @property
    def image(self) -> str:
        """What all containers are made of, by the engine's digest."""
        return self._place.image_id

    def held(self) -> Mapping[str, Mapping[str, float]]:
        """Return the memory and the threads of each container that is there."""
        there = {c.name: self._processes[c.name] for c in self.containers if c.left_s is None}
        return {name: each.held() for name, each in there.items() if isinstance(each, EngineContainer)}

    def _settle(self, stack: ExitStack) -> str:
        plan = self._plan
        self._on_phase(f"the container engine at {self._engine.socket} makes a network")
        self._place = stack.enter_context(
            Place(
                self._engine,
                (plan.under_test or REFERENCE).image,
                labels=labels_of(plan),
                inside=not (plan.under_test and plan.under_test.outside),
                clock=self._clock,
                tell=self._on_phase,
            )
        )
        return self._place.gateway

    def _hands(self, ports: Ports, balancers: Balancers, client: httpx.Client) -> Containers:
        return EngineContainers(
            self._plan,
            place=self._place,
            clock=self._clock,
            ports=ports,
            processes=self._processes,
            balancers=balancers,
            surroundings=self._around,
            client=client,
        )


class EngineContainers(ImageContainers):
    """The agents, each a container of the engine.

    Args:
        plan: see `ImageContainers`, as for `given`.
        place: where they are made.
    """

    def __init__(self, plan: FleetPlan, *, place: Place, **given: Any) -> None:
        super().__init__(plan, **given)
        self._place = place

    def _begin(self, name: str) -> Container:
        plan = self._plan
        shared = (plan.work_dir / SESSIONS).parent
        shared.chmod(0o777)  # an image has users of its own; nobody else gets into the folder above
        container = EngineContainer(
            name,
            self._told(name),
            self._place,
            log=plan.log_dir / f"{name}.log",
            shared=shared,
            memory_mb=self._limits.memory_mb,
            cpus=self._limits.cpus,
            clock=self._clock,
        )
        self._processes.start(container, self._together)
        return Container(name=name, address=f"{container.address}:{PORT}")
