"""A cluster of memory alone that has a bench: its Job, what its pod prints, and what commands in it bring."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from harness.fleet.kubernetes.api import ClusterError, Ran
from harness.fleet.kubernetes.inside.bench import Bench, Task
from harness.fleet.kubernetes.inside.errand import PACKED
from tests.harness.fleet.kubernetes.fake_api import FakeCluster, ended, not_a_time, refused, state_of

POD = "bench-x1y2z"
CREATED = ("serviceaccounts", "secrets", "clusterrolebindings", "jobs")


class Breaking(httpx.SyncByteStream):
    """A body that breaks off in the middle of a line."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise httpx.ReadError("reset by peer")


@dataclass
class FakeBench(FakeCluster):
    """The cluster; beside those of `FakeCluster`, its attributes say what goes wrong.

    Attributes:
        role: whether there is the ClusterRole that says what the bench may do.
        forbids: why the Job gets no pod; empty where it gets one.
        printed: the lines of the pod so far; a function gives them once the pod's namespace is known.
        ends_with: exit status with which the pod has ended, None while it runs.
        reason: of that end.
        breaks: how often what it prints breaks off in the middle.
        brings: the file that is fetched.
        short: how often a piece comes back too short.
        cut: how often a command in the pod is lost with its connection.
        no_exec: whether commands in pods are forbidden.
        exec_after: how many commands in it fail before the first is run.
        on_log: called when what it prints is asked for.
    """

    role: bool = True
    forbids: str = ""
    printed: Callable[[str], Sequence[str]] = lambda _: ()
    ends_with: int | None = None
    reason: str = "Error"
    breaks: int = 0
    brings: bytes = b""
    short: int = 0
    cut: int = 0
    no_exec: bool = False
    exec_after: int = 0
    on_log: Callable[[], None] = lambda: None
    thanked: int = 0
    created: dict[str, dict[str, Any]] = field(default_factory=dict)
    params: list[dict[str, str]] = field(default_factory=list)

    def bench(self, task: Task | None = None, said: list[str] | None = None) -> Bench:
        return Bench(
            self.cluster(),
            task or Task(words=("run", "cold-start"), folder="runs/r1"),
            image="agentrig-harness",
            labels={"agentrig.run": "r1"},
            clock=self.clock,
            tell=(said if said is not None else []).append,
        )

    @property
    def namespace(self) -> str:
        return next(iter(self.namespaces))

    def given(self) -> dict[str, bytes]:
        return {key: base64.b64decode(value) for key, value in self.created["secrets"]["data"].items()}

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, parts = request.url.path, request.url.path.strip("/").split("/")
        log = path.endswith(f"/pods/{POD}/log")
        mine = log or "clusterroles" in parts or parts[-1] in (*CREATED, "events")
        if not mine:
            return super().answer(request)
        before = len(self.asked)
        answer = super().answer(request)  # what it does to every call, it does to these
        if len(self.asked) == before or answer.status_code in {403, 429}:
            return answer
        if log:
            return self._log(request)
        if "clusterroles" in parts:
            there = refused(404, "NotFound", 'clusterroles "agentrig" not found')
            return httpx.Response(200, json={"metadata": {}}) if self.role else there
        if parts[-1] == "events":
            warnings = [{"type": "Warning", "message": self.forbids}] if self.forbids else []
            return httpx.Response(200, json={"items": [{"type": "Normal", "message": "made"}, *warnings]})
        return self._make(parts[-1], request)

    def _in_namespace(self, request: httpx.Request, parts: list[str], told: dict[str, Any]) -> httpx.Response:
        if request.url.path.endswith("/pods") or "/pods/" in request.url.path:
            return super()._in_namespace(request, parts, told)
        return httpx.Response(200, json={})

    def _one_namespace(self, method: str, name: str) -> httpx.Response:
        if name.startswith("agentrig-") or name in self.namespaces:
            return super()._one_namespace(method, name)
        return httpx.Response(200, json={})  # no namespace: a path of as many parts

    def _make(self, kind: str, request: httpx.Request) -> httpx.Response:
        told: dict[str, Any] = json.loads(request.content)
        self.created[kind] = told
        if kind == "jobs" and not self.forbids:
            spec = told["spec"]["template"]["spec"]
            added = [{"name": self.added, "image": "added"}] if self.added else []
            spec = {**spec, "containers": [*added, *spec["containers"]]}
            pod = {"metadata": {"name": POD}, "spec": {**spec, "nodeName": "the-node"}}
            self.pods[POD] = {**pod, "status": self._begun(POD)}
            if self.ends_with is not None:
                self.pods[POD]["status"] |= ended(self.ends_with, self.reason)
        return httpx.Response(201, json=told)

    def _log(self, request: httpx.Request) -> httpx.Response:
        self.on_log()
        params = dict(request.url.params)
        self.params.append(params)
        if POD not in self.pods:
            return refused(404, "NotFound", f'pods "{POD}" not found')
        if (wrong := not_a_time(request.url.params)) is not None:
            return wrong
        since = params.get("sinceTime", "")
        lines = [stamped(number, line) for number, line in enumerate(self.printed(self.namespace))]
        body = "".join(f"{line}\n" for line in lines if line.partition(" ")[0] >= since).encode()
        if self.breaks:
            self.breaks -= 1
            return httpx.Response(200, stream=Breaking(body))
        return httpx.Response(200, content=body + self.grumbles.encode())

    def execute(self, namespace: str, pod: str, command: Sequence[str]) -> Ran:
        if self.no_exec:
            raise ClusterError(f"a command in pod {pod}: forbidden", 403)
        if self.exec_after:
            self.exec_after -= 1
            raise ClusterError(f"a command in pod {pod}: container not found", 500)
        if pod not in self.pods or "running" not in state_of(self.pods[pod]):
            raise ClusterError(f"a command in pod {pod}: container not found", 500)
        if command[-1] == PACKED:
            self.thanked += 1
            return Ran(0, b"")
        file, from_byte, size = command[-3:]
        if file != PACKED:
            return Ran(0, b"")
        if self.cut:
            self.cut -= 1
            raise ClusterError(f"a command in pod {pod}: Connection reset by peer", 0)
        piece = self.brings[int(from_byte) : int(from_byte) + int(size)]
        if self.short:
            self.short -= 1
            piece = piece[:-1]
        return Ran(0, piece)


def stamped(number: int, line: str) -> str:
    """Return a line as the cluster tells it: three of them are of one instant."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_700_000_000 + number // 3))
    return f"{at}.{number // 3:09}Z {line}"
