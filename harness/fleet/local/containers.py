"""Starts, asks and ends the agents of a fleet."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx

from harness.errors import Death
from harness.fleet import commands
from harness.fleet.balancers import Balancers
from harness.fleet.commands import Command, FleetAddresses
from harness.fleet.local.copies import copy_project
from harness.fleet.local.processes import Processes, Running
from harness.fleet.plan import FleetPlan
from harness.fleet.ports import HOST, Ports
from harness.fleet.readiness import ReadinessTarget, http_fetch, not_ready_error
from harness.fleet.surroundings import SESSIONS, Surroundings
from harness.records.setup import Container
from harness.under_test import AgentUnderTest

PREFIX: Final = "agent-"
PROBE_S: Final = 0.1
"""How long a container that joins may think about whether it is ready: the load's watch waits meanwhile."""
PATIENCE: Final = 0.1
"""Or this share of the time that it has been waited for, when that is more: on a slow machine one that takes
long to start takes long to answer, too."""


class Containers:
    """The agents, each a process. What happens to them under load is decided in `movement.py`.

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
        self._together: list[Running] = []
        self._listens = HOST

    def launch(self, stack: ExitStack, count: int) -> tuple[tuple[Container, ...], list[ReadinessTarget]]:
        """Start some side by side; `stack` will stop them, and all that are started later, together.

        Those that run already are only waited for.

        Returns:
            They, and where each says that it is ready.
        """
        if self._plan.under_test and self._plan.under_test.addresses:
            there = tuple(
                Container(name=f"{PREFIX}{number}", address=address)
                for number, address in enumerate(self._plan.under_test.addresses[:count], start=1)
            )
            return there, [ReadinessTarget(ExternalContainer(c.name), self._ready_url(c)) for c in there]
        self._together = self._processes.together(stack)
        started = tuple(self.start() for _ in range(count))
        return started, [ReadinessTarget(self._processes[c.name], self._ready_url(c)) for c in started]

    # --- as the hands of a `Movement` --------------------------------------------------
    def start(self) -> Container:
        """Start one more, by a name that no other had, and return at once."""
        self._named += 1
        return self._begin(f"{PREFIX}{self._named}")

    def _begin(self, name: str) -> Container:
        """Start the one of that name."""
        port = self._ports.reserve()
        self._processes.start(self._processes.child(name, self._command(name, port)), self._together)
        return Container(name=name, address=f"{HOST}:{port}")

    def is_ready(self, container: Container, waited_s: float) -> bool:
        """Return whether it answers that it can work.

        Raises:
            StartError: it has not for too long.
        """
        url = self._ready_url(container)
        status = http_fetch(self._client, max(PROBE_S, PATIENCE * waited_s))(url)
        if status != httpx.codes.OK and waited_s > self._plan.start_deadline_s:
            target = ReadinessTarget(self._processes[container.name], url)
            raise not_ready_error(target, self._plan.start_deadline_s, status)
        return status == httpx.codes.OK

    def located(self, container: Container) -> Container:
        """Return it as it is: a process has its address from the start."""
        return container

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

    def end(self, name: str) -> None:
        """Send SIGKILL to one that has not left in its time."""
        self._processes.kill(name)

    def is_listed(self, container: Container) -> bool:
        """Return whether a balancer still has it in its list."""
        return self._balancers.lists(container.address)

    def route_to(self, containers: Sequence[Container]) -> None:
        """Give the balancers the list of containers."""
        self._balancers.route_to(containers)

    def _command(self, name: str, port: int) -> Command:
        """Return how the one of that name is started, to listen at a port."""
        plan, around = self._plan, self._surroundings
        if plan.under_test:
            command = commands.own_agent(
                self._wiring_of(name),
                plan.under_test,
                name=name,
                port=port,
                api_key=self._api_key,
                sessions=self._sessions,
                home=self._home(name),
                folder=self._folder_of(name, plan.under_test),
                store=around.store_of(name) or "",
            )
        else:
            command = commands.agent(
                self._wiring_of(name),
                name=name,
                port=port,
                api_key=self._api_key,
                sessions=self._sessions,
                concurrency_limit=plan.concurrency_limit,
                env=self._env(name),
                argv=plan.agent_command,
                listens=self._listens,
            )
        return around.dressed(command, name)

    def _wiring_of(self, name: str) -> FleetAddresses:
        """Return where the one of that name finds what it calls."""
        return self._surroundings.wiring_of(name)

    @property
    def _sessions(self) -> Path:
        """The file that all share, as they find it."""
        return self._plan.work_dir / SESSIONS

    def _folder_of(self, name: str, agent: AgentUnderTest) -> Path | None:
        """Return a container's copy of the agent's folder, made when it is first asked for."""
        if not agent.own_folder:
            return None
        folder = self._copy(name)
        if not folder.exists():
            copy_project(agent.workdir, folder)
        return folder

    def _copy(self, name: str) -> Path:
        return (self._plan.work_dir / "folders" / name).absolute()

    def _home(self, name: str) -> Path:
        """Make and return an empty folder: what a container keeps there is its own, as in a real one."""
        home = self._home_of(name)
        home.mkdir(parents=True, exist_ok=True)
        return home

    def _home_of(self, name: str) -> Path:
        return (self._plan.work_dir / "homes" / name).absolute()

    def _env(self, name: str) -> Mapping[str, str]:
        number = int(name.removeprefix(PREFIX)) - 1
        more = self._plan.env_of[number] if number < len(self._plan.env_of) else {}
        return {**self._plan.env, **more}

    def _ready_url(self, container: Container) -> str:
        return f"http://{container.reached_at}{self._plan.ready}"


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
