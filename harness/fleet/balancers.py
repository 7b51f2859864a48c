"""The balancers of a fleet, side by side over one list of containers, which may change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from harness.clock import Clock
from harness.errors import StartError
from harness.fleet import commands, envoy
from harness.fleet.commands import Command, FleetAddresses
from harness.fleet.envoy_parts import QUEUE
from harness.fleet.ports import HOST
from harness.fleet.waiting_room import WaitingRoom
from harness.records.setup import Container

ADMISSION_LIMIT = f"circuit_breakers.{QUEUE}.default.max_connections"
FLUSHES = "tracing.opentelemetry.timer_flushed"
"""Counts, over all listeners, how often one has sent the spans that it held."""
SENDING = "cluster.capture.upstream_rq_active"
IN_FLIGHT = "http.public.downstream_rq_active"
CAME = "http.public.downstream_rq_total"
POLL_S = 0.02


class Balancers:
    """One Envoy or several, each blind to what the others send.

    Args:
        plans: of each of them; they share the file that lists the containers.
        work_dir: gets their configuration files.
        client: asks their admin pages; knows the folder of their sockets.
        waiting_room: keeps what comes while there is no container, None where that is refused.
    """

    def __init__(
        self,
        plans: Sequence[envoy.BalancerPlan],
        work_dir: Path,
        client: httpx.Client,
        waiting_room: WaitingRoom | None = None,
    ) -> None:
        self._plans = tuple(plans)
        self._waiting_room = waiting_room
        self._work_dir = work_dir
        self._client = client
        self._listed = plans[0].agents

    @property
    def urls(self) -> tuple[str, ...]:
        """Where each of them listens."""
        return tuple(f"http://{HOST}:{plan.port}" for plan in self._plans)

    def files(self, containers: Sequence[Container]) -> dict[Path, Any]:
        """Return what has to be written before they start, as JSON by path."""
        listed: dict[Path, Any] = {self._plans[0].endpoints: self._list_of(containers)}
        return listed | {self._config(plan): envoy.bootstrap(plan) for plan in self._plans}

    def commands(self, wiring: FleetAddresses, binary: Path) -> dict[str, tuple[Command, str]]:
        """Return how each is started, and where it says that it is ready."""
        return {
            plan.name: (
                commands.envoy(wiring, binary, self._config(plan)),
                f"{_control(plan)}/ready",
            )
            for plan in self._plans
        }

    def route_to(self, containers: Sequence[Container]) -> None:
        """Give all of them another list of containers, and admission queues of its size.

        Raises:
            StartError: the file cannot be written, or one doesn't take the size of its admission queue.
        """
        fewer = len(containers) < self._listed
        self._listed = len(containers)
        if fewer:  # nobody is let in for a slot that is not there
            self._resize()
        self._write(containers)
        if not fewer:
            self._resize()
        if self._waiting_room is not None:
            self._waiting_room.somebody_is_there(there=bool(containers))

    def hand_in(self, clock: Clock, within_s: float) -> None:
        """Wait until each has sent the spans that it holds: it drops them when it is stopped.

        Args:
            clock: for waiting.
            within_s: in seconds from now; who hasn't by then won't.
        """
        end = clock.monotonic() + within_s
        for plan in self._plans:
            with suppress(httpx.HTTPError):  # it has ended: there is nothing to wait for
                # Each listener sends at the same interval: twice as many as there are is each at least once.
                enough = self._stat(plan, FLUSHES) + 2 * envoy.listeners(plan)
                while clock.monotonic() < end:
                    if self._stat(plan, FLUSHES) >= enough and not self._stat(plan, SENDING):
                        break
                    clock.sleep(POLL_S)

    def lists(self, address: str) -> bool:
        """Return whether any of them still has a container in its list.

        Raises:
            StartError: one of them doesn't say.
        """
        try:
            return any(f"::{address}::" in self._page(plan, "clusters") for plan in self._plans)
        except httpx.HTTPError as error:
            raise StartError(f"a balancer does not tell whom it sends to: {error}") from error

    def requests(self) -> tuple[int, int]:
        """Return how many requests they have, waiting or at work, and how many ever came to them.

        Raises:
            StartError: one of them doesn't say.
        """
        try:
            return (
                sum(self._stat(plan, IN_FLIGHT) for plan in self._plans),
                sum(self._stat(plan, CAME) for plan in self._plans),
            )
        except httpx.HTTPError as error:
            raise StartError(f"a balancer does not tell how many requests it has: {error}") from error

    def _stat(self, plan: envoy.BalancerPlan, name: str) -> int:
        return int(self._page(plan, f"stats?filter=^{name}$").rpartition(":")[2] or 0)

    def _page(self, plan: envoy.BalancerPlan, path: str) -> str:
        """Return a page of a balancer's own control."""
        return self._client.get(f"{_control(plan)}/{path}").raise_for_status().text

    def _write(self, containers: Sequence[Container]) -> None:
        path = self._plans[0].endpoints
        aside = path.parent.with_suffix(".new")  # Envoy ignores a file that is rewritten in place
        try:
            aside.write_text(json.dumps(self._list_of(containers)), "utf-8")
            aside.replace(path)
        except OSError as error:
            raise StartError(f"{error.filename}: cannot be written to: {error.strerror}") from error

    def _resize(self) -> None:
        for plan in self._plans:
            size = envoy.places(plan, self._listed)
            url = f"{_control(plan)}/runtime_modify?{ADMISSION_LIMIT}={size}"
            try:
                self._client.post(url).raise_for_status()
            except httpx.HTTPError as error:
                raise StartError(
                    f"{plan.name} does not take the size of its admission queue: {error}"
                ) from error

    def _list_of(self, containers: Sequence[Container]) -> Any:
        addresses = [container.address.rpartition(":") for container in containers]
        return envoy.endpoints(
            tuple((host.strip("[]"), int(port)) for host, _, port in addresses),
            None if self._waiting_room is None else self._waiting_room.port,
        )

    def _config(self, plan: envoy.BalancerPlan) -> Path:
        return self._work_dir / f"{plan.name}.json"


def _control(plan: envoy.BalancerPlan) -> str:
    """Return the address of a balancer's own control."""
    return f"http://{plan.admin.name}"
