"""Where the containers of one fleet are in an engine: a network of their own, and labels to find all by."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from harness.clock import Clock
from harness.errors import StartError
from harness.fleet.docker.engine import IN_USE, NOT_THERE, Engine, EngineError
from harness.process import guard, leftovers
from harness.process.leftovers import FLEET_LABEL
from harness.process.uninterrupted import uninterrupted

EXPIRES_LABEL: Final = "agentrig.expires"
"""When it may be taken for forgotten, in Unix seconds: whoever comes next with a fleet then removes it."""
EXPIRES_S: Final = 7 * 24 * 3600.0
LOOKED_S: Final = 0.2
"""How old what is known of all containers may be: one call tells of all."""
ENDED: Final = frozenset({"exited", "dead", "stopped", "removing"})
"""States of a container that runs no more; engines have different ones before that."""
PAUSED: Final = "paused"
NANO: Final = 1_000_000_000
MIB: Final = 1024 * 1024
TRIES: Final = 5
"""How often a subnet may be another's by the time that it is asked for."""
TAKEN: Final = re.compile("overlap|already used", re.IGNORECASE)
"""What engines say then."""
HOLDER: Final = "holder"
HOLD: Final = "while :; do sleep 3600; done"
LOG_LIMIT: Final = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "1"}}


def _bind(host: str) -> None:
    if not host:  # which would be any
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    with socket.socket() as here:
        here.bind((host, 0))


class Place:
    """The network of a fleet, for the length of a `with` block; all that is in it goes with it.

    Args:
        engine: that has it.
        image: of the containers.
        labels: what is told of the fleet to who looks at the engine.
        inside: whether nothing beyond this machine is reached from it.
        clock: says what time it is.
        tell: told what could not be removed, where something else went wrong before.
        bind: takes an address of this machine for a moment, or raises OSError.

    Attributes:
        name: of the fleet, which no other has.
        gateway: the address of this machine in the network.
        stop_signal: what the image asks for to end.
        image_id: the image by the engine's digest: a name can be given to another one at any moment.
    """

    def __init__(
        self,
        engine: Engine,
        image: str,
        *,
        labels: Mapping[str, str],
        inside: bool,
        clock: Clock,
        tell: Callable[[str], None],
        bind: Callable[[str], None] = _bind,
    ) -> None:
        self.engine = engine
        self.name = secrets.token_hex(4)
        self.gateway = ""
        self.stop_signal = "SIGTERM"
        self.image_id = ""
        self._image = image
        self._inside = inside
        self._clock = clock
        self._tell = tell
        self._bind = bind
        self._network = f"agentrig-{self.name}"
        self._addresses: Iterator[str] = iter(())
        expires = {EXPIRES_LABEL: str(int(clock.now() + EXPIRES_S))}
        self._labels = {**labels, **expires, FLEET_LABEL: self.name}
        self._states: dict[str, str] = {}
        self._looked_s: float | None = None

    def __enter__(self) -> Self:
        """Remove what was forgotten there, and make the network.

        Raises:
            EngineError: the engine does not answer, or refuses; or it has no such image.
            StartError: its networks are not on this machine.
        """
        self._remove_expired()
        self._examine_image()
        guard.lodged(str(self.engine.socket), self.name)
        try:
            self._make_network()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the containers and the network.

        Raises:
            StartError: that can't be done, and nothing else went wrong.
        """
        with uninterrupted():
            left = leftovers.remove_fleet(self.engine.ask, self.name)
            if not left:
                guard.moved_out(str(self.engine.socket), self.name)
                return
        said = (
            f"the engine at {self.engine.socket} still has {', '.join(left)}. The next start of agentrig "
            f"removes it; by hand: docker rm -f $(docker ps -aq --filter label={FLEET_LABEL}={self.name}) "
            f"and docker network rm {self._network}."
        )
        if kind is None:
            raise StartError(said)
        self._tell(said)

    # --- its containers ----------------------------------------------------------------
    def create(
        self, name: str, env: Mapping[str, str], *, memory_mb: int, cpus: float | None, shared: Path, at: str
    ) -> tuple[str, str]:
        """Make a container.

        Returns:
            Its id, and its IP address in the network, which no other ever gets: an engine gives that of one
            that is dead to the next, and then nobody could tell whose answers were whose.

        Args:
            name: in the fleet.
            env: its environment, beside what its image says.
            memory_mb: it may have, in MiB; with more it is killed.
            cpus: it may keep busy, None for as many as there are.
            shared: a folder of this machine that all containers find.
            at: where they find it.

        Raises:
            EngineError: the engine does not do it.
        """
        return self._create(
            name,
            {"Env": [f"{key}={value}" for key, value in env.items()]},
            {
                "Init": True,  # what has no handler of SIGTERM ends by it, as it would as a process
                "Memory": memory_mb * MIB,
                "MemorySwap": memory_mb * MIB,
                "NanoCpus": int((cpus or 0) * NANO),  # 0 for no limit
                "Binds": [f"{shared.absolute()}:{at}:z"],
            },
        )

    def _create(self, name: str, told: Mapping[str, Any], host: Mapping[str, Any]) -> tuple[str, str]:
        address = self._next_address()
        body = {
            "Image": self.image_id,
            "Labels": self._labels,
            "NetworkingConfig": {
                "EndpointsConfig": {self._network: {"IPAMConfig": {"IPv4Address": address}}}
            },
            "HostConfig": {"NetworkMode": self._network, "LogConfig": LOG_LIMIT, **host},
            **told,
        }
        known = f"{self._network}-{name}"
        try:
            made = self.engine.call("POST", "/containers/create", json=body, params={"name": known})
        except EngineError as error:
            if error.status != IN_USE:
                raise
            todo = f"Somebody else has that name: `docker rm -f {known}`, where it is nobody's any more."
            raise EngineError(f"{error} {todo}", error.status) from error
        self._looked_s = None
        return str(made["Id"]), address

    def inspect(self, container: str) -> dict[str, Any]:
        """Return all that the engine tells of a container.

        Raises:
            EngineError: it does not answer, or has no such container.
        """
        told: dict[str, Any] = self.engine.call("GET", f"/containers/{container}/json")
        return told

    def runs(self, container: str) -> bool:
        """Return whether a container runs, by a look at all that is at most so old.

        Raises:
            EngineError: the engine does not answer.
        """
        return self._state(container) not in ENDED

    def paused(self, container: str) -> bool:
        """Return whether a container stands still, by the same look.

        Raises:
            EngineError: the engine does not answer.
        """
        return self._state(container) == PAUSED

    def _state(self, container: str) -> str:
        now_s = self._clock.monotonic()
        if self._looked_s is None or now_s - self._looked_s > LOOKED_S:
            label = json.dumps({"label": [f"{FLEET_LABEL}={self.name}"]})
            found = self.engine.call("GET", "/containers/json", params={"all": "true", "filters": label})
            self._states = {each["Id"]: each["State"] for each in found}
            self._looked_s = now_s
        return self._states.get(container, "removing")

    # --- the start ---------------------------------------------------------------------
    def _examine_image(self) -> None:
        try:
            told = self.engine.call("GET", f"/images/{self._image}/json")
        except EngineError as error:
            if error.status != NOT_THERE:
                raise
            todo = f"Build it (`docker build --tag {self._image} .` beside its Dockerfile), or pull it."
            raise EngineError(f"the engine has no image {self._image}. {todo}", NOT_THERE) from error
        self.image_id = str(told.get("Id") or self._image)
        self.stop_signal = (told.get("Config") or {}).get("StopSignal") or self.stop_signal

    def _make_network(self) -> None:
        body = {
            "Name": self._network,
            "Driver": "bridge",
            "Internal": self._inside,
            "Labels": self._labels,
        }
        for tried in range(1, TRIES + 1):
            free = self._free_subnet(body)
            named = {"Config": [{"Subnet": free["Subnet"], "Gateway": self.gateway}]}
            try:
                self.engine.call("POST", "/networks/create", json={**body, "IPAM": named})
            except EngineError as error:  # another fleet, perhaps, was given it meanwhile
                if tried == TRIES or not TAKEN.search(str(error)):
                    raise
            else:
                break
        hosts = map(str, IPv4Network(free["Subnet"], strict=False).hosts())
        self._addresses = (each for each in hosts if each != self.gateway)
        try:
            self._bind(self.gateway)
        except OSError:
            self._hold()

    def _hold(self) -> None:
        """Have a first container in the network: Podman gives this machine its address there only with one.

        Raises:
            StartError: it has none all the same.
        """
        try:
            holder, _ = self._create(HOLDER, {"Entrypoint": ["sh", "-c", HOLD]}, {})
            self.engine.call("POST", f"/containers/{holder}/start")
            self._bind(self.gateway)
        except (OSError, EngineError) as error:
            raise self._elsewhere(error) from error

    def _elsewhere(self, error: OSError | EngineError | None) -> StartError:
        why = error.strerror if isinstance(error, OSError) else error
        return StartError(
            f"the engine at {self.engine.socket} has its networks elsewhere than on this machine: the "
            f"gateway {self.gateway or '(none)'} is no address here{f' ({why})' if why else ''}. It runs "
            "without root, or in a machine of its own as Docker Desktop: --on docker needs one here."
        )

    def _free_subnet(self, body: Mapping[str, Any]) -> Mapping[str, str]:
        """Return a subnet that the engine knows to be free, by a network that it makes, and removes again.

        An address can be chosen only in a network whose subnet was.
        """
        self.engine.call("POST", "/networks/create", json=body)
        told = self.engine.call("GET", f"/networks/{self._network}")["IPAM"]["Config"]
        free: Mapping[str, str] = next((each for each in told if ":" not in each["Subnet"]), {})
        self.gateway = str(free.get("Gateway", ""))
        if not self.gateway:
            raise self._elsewhere(None)
        self.engine.call("DELETE", f"/networks/{self._network}")
        return free

    def _next_address(self) -> str:
        try:
            return next(self._addresses)
        except StopIteration:
            raise StartError(
                f"the network {self._network} has no address left: larger ones are set by the engine's "
                "default-address-pools."
            ) from None

    def _remove_expired(self) -> None:
        """Remove fleets of which nobody knows any more."""
        wanted = {"filters": json.dumps({"label": [EXPIRES_LABEL]})}
        found = [
            *self.engine.call("GET", "/containers/json", params={"all": "true", **wanted}),
            *self.engine.call("GET", "/networks", params=wanted),
        ]
        labels = [each.get("Labels") or {} for each in found]
        now_s = self._clock.now()
        for fleet in {told.get(FLEET_LABEL) for told in labels if _expired(told, now_s)} - {None}:
            leftovers.remove_fleet(self.engine.ask, str(fleet))


def _expired(labels: Mapping[str, str], now_s: float) -> bool:
    expires = labels.get(EXPIRES_LABEL, "")
    return expires.isdigit() and int(expires) < now_s
