"""An engine of memory alone, which answers and fails as Docker's does."""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from harness.clock import FakeClock
from harness.fleet.docker.engine import Engine
from harness.fleet.docker.place import Place

GATEWAY = "172.31.7.1"
SOCKET = Path("/run/an-engine.sock")


@dataclass
class FakeContainer:
    body: dict[str, Any]
    name: str
    state: str = "created"
    code: int = 0
    oom: bool = False
    signals: list[str] = field(default_factory=list)
    cpu_ns: int = 0


@dataclass
class FakeEngine:
    """The engine; its attributes say what goes wrong.

    Attributes:
        lost: whether nobody listens at its socket.
        forbidden: whether this user may not ask it.
        images: that it has, with what each asks for to end.
        deaf: whether its containers take no notice of any signal but SIGKILL.
        dead_at_once: whether a container ends as soon as it is started.
        full: whether its disk is.
        gateway: of its networks, None where it tells none.
        overlaps: how often a subnet is another's by the time that it is asked for.
    """

    lost: bool = False
    forbidden: bool = False
    images: dict[str, str] = field(default_factory=lambda: {"an-image": ""})
    deaf: bool = False
    dead_at_once: bool = False
    full: bool = False
    gateway: str | None = GATEWAY
    overlaps: int = 0
    output: bytes = b"\x01\0\0\0\0\0\0\x04one\n\x02\0\0\0\0\0\0\x04two\n"
    containers: dict[str, FakeContainer] = field(default_factory=dict)
    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    made: int = 0
    clock: FakeClock = field(default_factory=FakeClock)

    def client(self) -> Engine:
        return Engine(SOCKET, transport=httpx.MockTransport(self.answer))

    def place(self, image: str = "an-image", **given: Any) -> Place:
        return Place(
            self.client(),
            image,
            labels={"agentrig.run": "a-run"},
            inside=True,
            clock=self.clock,
            **{"tell": lambda _: None, "bind": lambda _: None, **given},
        )

    def only(self) -> FakeContainer:
        (found,) = self.containers.values()
        return found

    # --- its API -----------------------------------------------------------------------
    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.lost or self.forbidden:
            number = errno.ECONNREFUSED if self.lost else errno.EACCES
            said = "Connection refused" if self.lost else "Permission denied"
            raise httpx.NetworkError(said, request=request) from OSError(number, said)
        self.asked.append(f"{request.method} {request.url.path}")
        kind, *rest = request.url.path.strip("/").split("/")
        told = json.loads(request.content) if request.content else {}
        handle = getattr(self, f"_{request.method.lower()}_{kind}")
        answer: httpx.Response = handle(rest, told, request.url.params)
        return answer

    def _get_images(self, rest: list[str], _: Any, __: Any) -> httpx.Response:
        if rest[0] not in self.images:
            return refused(404, f"No such image: {rest[0]}")
        return httpx.Response(
            200, json={"Id": f"sha256:{rest[0]}", "Config": {"StopSignal": self.images[rest[0]]}}
        )

    def _get_networks(self, rest: list[str], _: Any, params: httpx.QueryParams) -> httpx.Response:
        if not rest:
            return httpx.Response(200, json=[n for n in self.networks.values() if labelled(n, params)])
        v6 = {"Subnet": "fd00::/64", "Gateway": "fd00::1"}
        v4 = {"Subnet": "172.31.7.0/24", **({"Gateway": self.gateway} if self.gateway else {})}
        return httpx.Response(200, json={"IPAM": {"Config": [v6, v4]}})

    def _post_networks(self, _: list[str], told: Any, __: Any) -> httpx.Response:
        if "IPAM" in told and self.overlaps:
            self.overlaps -= 1
            return refused(403, "Pool overlaps with other one on this address space")
        self.made += 1
        self.networks[f"n{self.made}"] = {**told, "Id": f"n{self.made}"}
        return httpx.Response(201, json={"Id": f"n{self.made}"})

    def _delete_networks(self, rest: list[str], _: Any, __: Any) -> httpx.Response:
        if self.containers:
            return refused(403, "error while removing network: it has active endpoints")
        self.networks = {key: n for key, n in self.networks.items() if rest[0] not in {key, n["Name"]}}
        return httpx.Response(204)

    def _get_containers(self, rest: list[str], _: Any, params: httpx.QueryParams) -> httpx.Response:
        if rest == ["json"]:
            listed = [
                {"Id": key, "Names": [f"/{c.name}"], "State": c.state, "Labels": c.body["Labels"]}
                for key, c in self.containers.items()
            ]
            return httpx.Response(200, json=[each for each in listed if labelled(each, params)])
        if rest[0] not in self.containers:
            return refused(404, f"No such container: {rest[0]}")
        found = self.containers[rest[0]]
        if rest[1] == "logs":
            return httpx.Response(200, content=self.output)
        if rest[1] == "stats":
            return httpx.Response(200, json=self._stats(found))
        state = {"ExitCode": found.code, "OOMKilled": found.oom, "Error": "", "Pid": 0}
        return httpx.Response(200, json={"State": state})

    def _stats(self, found: FakeContainer) -> dict[str, Any]:
        if found.state == "exited":
            return {"cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {}}
        memory = {"usage": 100 * 1024 * 1024, "stats": {"total_inactive_file": 60 * 1024 * 1024}}
        return {
            "cpu_stats": {"cpu_usage": {"total_usage": found.cpu_ns}},
            "memory_stats": memory,
            "pids_stats": {"current": 9},
        }

    def _post_containers(self, rest: list[str], told: Any, params: httpx.QueryParams) -> httpx.Response:
        if rest == ["create"]:
            return self._create(told, params["name"])
        if rest[0] not in self.containers:
            return refused(404, f"No such container: {rest[0]}")
        found = self.containers[rest[0]]
        if rest[1] == "start":
            found.state, found.code = ("exited", 1) if self.dead_at_once else ("running", 0)
            return httpx.Response(204)
        if found.state == "exited":
            return refused(409, f"Container {rest[0]} is not running")
        found.signals.append(params.get("signal", rest[1]))
        if params.get("signal") == "SIGKILL" or (rest[1] == "kill" and not self.deaf):
            found.state, found.code = "exited", 137 if params["signal"] == "SIGKILL" else 0
        return httpx.Response(204)

    def _create(self, told: Any, name: str) -> httpx.Response:
        if self.full:
            return refused(500, "mkdir /var/lib/docker/overlay2/f00: no space left on device")
        if name in {each.name for each in self.containers.values()}:
            return refused(409, f'Conflict. The container name "/{name}" is already in use')
        if not any("IPAM" in each for each in self.networks.values()):
            return refused(400, "user specified IP address is supported only with user configured subnets")
        self.made += 1
        self.containers[f"c{self.made}"] = FakeContainer(body=told, name=name)
        return httpx.Response(201, json={"Id": f"c{self.made}"})

    def _delete_containers(self, rest: list[str], _: Any, params: httpx.QueryParams) -> httpx.Response:
        if rest[0] not in self.containers:
            return refused(404, f"No such container: {rest[0]}")
        assert params["force"] == "true", "one that runs is refused otherwise"
        assert params["v"] == "true", "its volumes would stay"
        self.containers.pop(rest[0])
        return httpx.Response(204)


def refused(status: int, message: str) -> httpx.Response:
    return httpx.Response(status, json={"message": message})


def labelled(entry: dict[str, Any], params: httpx.QueryParams) -> bool:
    wanted = json.loads(params["filters"])["label"] if "filters" in params else []
    labels = entry["Labels"]
    return all(
        labels.get(key) == value if equal else key in labels
        for key, equal, value in (each.partition("=") for each in wanted)
    )
