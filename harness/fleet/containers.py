"""Starts, asks and ends the agent containers of a fleet."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx

from harness.contract import PING, READYZ
from harness.errors import Death
from harness.fleet import commands
from harness.fleet.balancers import Balancers
from harness.fleet.commands import Command
from harness.fleet.copies import copy_project
from harness.fleet.plan import FleetPlan
from harness.fleet.ports import HOST, Ports
from harness.fleet.processes import Processes
from harness.fleet.readiness import ReadinessTarget, http_fetch, not_ready_error
from harness.fleet.surroundings import SESSIONS, Surroundings
from harness.process.child import Child
from harness.records.setup import Container
from harness.under_test import AgentUnderTest

PREFIX: Final = "agent-"
PROBE_S: Final = 0.1
"""How long a container that joins may think about whether it is ready: the load's watch waits meanwhile."""
PATIENCE: Final = 0.1
"""Or this share of the time that it has been waited for, when that is more: on a slow machine one that takes
long to start takes long to answer, too."""


class Containers:
    """The agents. What happens to them under load is decided in `movement.py`.

    Args:
        plan: how many, and what each is told.
        ports: gives each its own.
        processes: runs them.
        balancers: send to them.
        surroundings: what each finds around it.
        client: asks them.
    """

    def __init__(
        self,
        plan: FleetPlan,
        *,
        ports: Ports,
        processes: Processes,
        balancers: Balancers,
        surroundings: Surroundings,
        client: httpx.Client,
    ) -> None:
        self._plan = plan
        self._surroundings = surroundings
        self._ports = ports
        self._processes = processes
        self._balancers = balancers
        self._client = client
        self._api_key = f"sk-{secrets.token_hex(16)}"
        self._named = 0
        self._together: list[Child] = []

    def next(self) -> Container:
        """Return one with a name and a port that no other had."""
        self._named += 1
        running = self._plan.under_test.addresses if self._plan.under_test else ()
        address = running[self._named - 1] if running else f"{HOST}:{self._ports.reserve()}"
        return Container(name=f"{PREFIX}{self._named}", address=address)

    def launch(self, stack: ExitStack, containers: Sequence[Container]) -> list[ReadinessTarget]:
        """Start some side by side; `stack` will stop them, and all that are started later, together.

        Those that run already are only waited for.
        """
        if self._plan.under_test and self._plan.under_test.addresses:
            return [ReadinessTarget(ExternalContainer(c.name), self._ready_url(c)) for c in containers]
        targets, self._together = self._processes.launch(
            stack, {container.name: self._command(container) for container in containers}
        )
        return targets

    # --- as the hands of a `Movement` --------------------------------------------------
    def start(self) -> Container:
        """Start one more, and return at once."""
        container = self.next()
        command, ready = self._command(container)
        self._processes.start(container.name, command, ready, self._together)
        return container

    def is_ready(self, container: Container, waited_s: float) -> bool:
        """Return whether it answers that it can work.

        Raises:
            StartError: it has not for too long.
        """
        url = self._command(container)[1]
        status = http_fetch(self._client, max(PROBE_S, PATIENCE * waited_s))(url)
        if status != httpx.codes.OK and waited_s > self._plan.start_deadline_s:
            target = ReadinessTarget(self._processes[container.name], url)
            raise not_ready_error(target, self._plan.start_deadline_s, status)
        return status == httpx.codes.OK

    def kill(self, name: str) -> None:
        """Send SIGKILL."""
        self._processes.kill(name)

    def freeze(self, name: str) -> None:
        """Send SIGSTOP."""
        self._processes.freeze(name)

    def thaw(self, name: str) -> None:
        """Send SIGCONT."""
        self._processes.thaw(name)

    def is_dead(self, name: str) -> bool:
        """Return whether it has ended."""
        return self._processes[name].poll() is not None

    def forget(self, name: str) -> None:
        """Remove what one that has ended left in its folder: many are started in a long session."""
        shutil.rmtree(self._copy(name), ignore_errors=True)
        shutil.rmtree(self._home_of(name), ignore_errors=True)

    def stop(self, name: str) -> None:
        """Send SIGTERM: it finishes what it has in work, and leaves."""
        self._processes.stop(name)

    def is_listed(self, container: Container) -> bool:
        """Return whether a balancer still has it in its list."""
        return self._balancers.lists(container.address)

    def route_to(self, containers: Sequence[Container]) -> None:
        """Give the balancers the list of containers."""
        self._balancers.route_to(containers)

    def _command(self, container: Container) -> tuple[Command, str]:
        """Return how it is started, and where it says that it is ready."""
        plan, around = self._plan, self._surroundings
        wiring = around.wiring_of(container.name)
        port = int(container.address.rpartition(":")[2])
        sessions = plan.work_dir / SESSIONS
        if plan.under_test:
            command = commands.own_agent(
                wiring,
                plan.under_test,
                name=container.name,
                port=port,
                api_key=self._api_key,
                sessions=sessions,
                home=self._home(container),
                folder=self._folder_of(container, plan.under_test),
                store=around.store_of(container.name) or "",
            )
        else:
            command = commands.agent(
                wiring,
                name=container.name,
                port=port,
                api_key=self._api_key,
                sessions=sessions,
                concurrency_limit=plan.concurrency_limit,
                env=self._env(container),
                argv=plan.agent_command,
            )
        return around.dressed(command, container.name), self._ready_url(container)

    def _folder_of(self, container: Container, agent: AgentUnderTest) -> Path | None:
        """Return the container's copy of the agent's folder, made when it is first asked for."""
        if not agent.own_folder:
            return None
        folder = self._copy(container.name)
        if not folder.exists():
            copy_project(agent.workdir, folder)
        return folder

    def _copy(self, name: str) -> Path:
        return (self._plan.work_dir / "folders" / name).absolute()

    def _home(self, container: Container) -> Path:
        """Make and return an empty folder: what a container keeps there is its own, as in a real one."""
        home = self._home_of(container.name)
        home.mkdir(parents=True, exist_ok=True)
        return home

    def _home_of(self, name: str) -> Path:
        return (self._plan.work_dir / "homes" / name).absolute()

    def _env(self, container: Container) -> Mapping[str, str]:
        number = int(container.name.removeprefix(PREFIX)) - 1
        more = self._plan.env_of[number] if number < len(self._plan.env_of) else {}
        return {**self._plan.env, **more}

    def _ready_url(self, container: Container) -> str:
        plan = self._plan
        ours = PING if plan.agent_command else READYZ  # the AgentCore contract knows /ping alone
        return f"http://{container.address}{plan.under_test.ready if plan.under_test else ours}"


class ExternalContainer:
    """A container that somebody else started: there is nothing to watch but its answers."""

    log = Path("(of whoever started it)")

    def __init__(self, name: str) -> None:
        self.name = name

    def poll(self) -> Death | None:
        """Return None: whether it runs, only its answers tell."""
        return None

    def listening(self) -> tuple[int, ...]:
        """Return nothing: whose ports are whose is not known."""
        return ()

    def last_lines(self) -> tuple[str, ...]:
        """Return nothing: its output goes elsewhere."""
        return ()
