"""What the containers of a fleet have in common that are made of an image, wherever they run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.clock import Clock
from harness.fence import HOME
from harness.fleet.commands import FleetAddresses
from harness.fleet.local.containers import Containers
from harness.fleet.plan import FleetPlan
from harness.fleet.surroundings import SESSIONS
from harness.records.spec import FleetSpec
from harness.under_test import AgentUnderTest

VARIABLE: Final = "AGENTRIG_AGENT_IMAGE"
"""Names the reference agent's image where it has another name, such as that of a registry."""
REFERENCE: Final = AgentUnderTest(
    name="the reference agent", image=os.environ.get(VARIABLE) or "agentrig-agent"
)
"""What the checkout's Dockerfile makes, as compose.yaml names it."""
PORT: Final = 8080
ANYWHERE: Final = "0.0.0.0"
SHARED: Final = "/agentrig"
"""Where a container finds the folder that all of the fleet share."""
NOWHERE: Final = Path("/tmp/agentrig-home")  # noqa: S108 - within a container, which has one of its own


def obstacle(fleet: FleetSpec | None, own: AgentUnderTest | None) -> str | None:
    """Return why there can be no such fleet of images, None where there can.

    Args:
        fleet: as it is asked for, None for one without anything around it.
        own: the user's agent, None for the reference agent.
    """
    if own is not None and not own.image:
        return "your agent has no image: give agent.image in agentrig.toml (docs/containers.md)"
    if own is not None and own.names_store:
        return "{store} is a real Redis among processes: give your image the address of one in [agent.env]"
    if fleet is not None and (
        fleet.weather or fleet.restored or fleet.store != "sqlite" or fleet.tool_servers > 1
    ):
        several = "weather, snapshots, a real Redis and several tool servers"
        return f"{several} are there for processes alone: leave --on out"
    return None


def labels_of(plan: FleetPlan) -> Mapping[str, str]:
    """Return what is told of a fleet to who looks at the engine or the cluster that has it."""
    return {
        "agentrig.run": plan.run_id,
        "agentrig.experiment": plan.experiment,
        "agentrig.arm": plan.arm,
    }


class ImageContainers(Containers):
    """The agents, each a container of an image.

    Args:
        plan: see `Containers`, as for `given`.
        clock: for waiting.
    """

    def __init__(self, plan: FleetPlan, *, clock: Clock, **given: Any) -> None:
        super().__init__(plan, **given)
        self._clock = clock
        self._listens = ANYWHERE

    def forget(self, name: str) -> None:
        """Keep what one that has ended printed, and remove it: many are started in a long session."""
        self._processes[name].stop(0.0)

    def _told(self, name: str) -> Mapping[str, str]:
        """Return what a container is told beside what its image says: as a process is, but for its HOME."""
        env = dict(self._command(name, PORT).env)
        if HOME not in self._limits.env:
            env.pop(HOME, None)
        return env

    @property
    def _limits(self) -> AgentUnderTest:
        return self._plan.under_test or REFERENCE

    def _wiring_of(self, name: str) -> FleetAddresses:
        return replace(super()._wiring_of(name), inherited={})

    @property
    def _sessions(self) -> Path:
        return Path(SHARED) / SESSIONS.name

    def _home(self, name: str) -> Path:
        del name  # each has a /tmp of its own
        return NOWHERE
