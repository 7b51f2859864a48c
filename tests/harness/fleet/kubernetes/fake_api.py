"""A cluster of memory alone, whose API answers and fails as the real one does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import httpx

from harness.clock import FakeClock
from harness.fleet.kubernetes.api import Cluster, ClusterError, Ran
from harness.fleet.kubernetes.manifests import KEEPER
from harness.fleet.kubernetes.meeting import Meeting
from harness.fleet.kubernetes.place import Place

NODE, HOST = "the-node", "198.18.0.1"
STAMP = "2026-01-01T00:00:{:02}.000000000Z"
HELD = "unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1"
EXECUTED = "kill -9 -1"


class FakeMeeting(Meeting):
    """Listens nowhere; who is met says the test."""

    def __enter__(self) -> Self:
        return self

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(f"{address}:4000" for address in self._at)

    def hear(self) -> None:
        return


@dataclass
class FakeCluster:
    """The cluster; its attributes say what goes wrong.

    Attributes:
        silent: what is raised in place of an answer, None for nothing.
        silent_for: how many calls that lasts, None for all.
        busy: how many calls are answered with 429 first.
        refuses: method and last word of a path that is forbidden.
        account_after: how many pods are refused because their account is not there yet.
        waiting: why no container starts; empty where each does.
        unschedulable: why no pod finds a node.
        keeper_ends: exit status with which the keeper ends at once.
        keeper_said: the keeper's last line.
        dead_at_once: exit status of an agent that ends as soon as it is started.
        over_memory: whether that is why it ends.
        stuck: whether its namespaces do not go.
        counts: whether the kubelet may be asked.
        added: a container that whoever admits pods adds to each.
        limited: of CPU, what a pod may have that says nothing of it.
        image_id: what pods are made of.
        ips: addresses of the next pods, none for one of IPv4 each.
        refused_once: how the next call that makes something is refused.
        coarse: how many lines in a row get the same stamp.
        cuts: after how many bytes the next logs break off.
        grumbles: what the node says at the end of each log, with no time before it: it can't watch a file.
        done_but_lost: how many calls that make something are done, and their answers lost.
    """

    silent: Exception | None = None
    silent_for: int | None = None
    busy: int = 0
    refuses: tuple[str, str] | None = None
    account_after: int = 0
    waiting: tuple[str, str] | None = None
    unschedulable: str = ""
    keeper_ends: int | None = None
    keeper_said: str = "agentrig: met"
    dead_at_once: int | None = None
    over_memory: bool = False
    stuck: bool = False
    counts: bool = True
    added: str = ""
    limited: str = ""
    image_id: str = "sha256:1"
    ips: tuple[str, ...] = ()
    refused_once: tuple[int, str, str] | None = None
    done_but_lost: int = 0
    coarse: int = 1
    grumbles: str = ""
    cuts: list[int] = field(default_factory=list)
    heard: list[dict[str, str]] = field(default_factory=list)
    met: frozenset[str] = frozenset({HOST})
    output: str = "one\ntwo\n"
    namespaces: dict[str, dict[str, Any]] = field(default_factory=dict)
    policies: list[dict[str, Any]] = field(default_factory=list)
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    executed: list[tuple[str, str]] = field(default_factory=list)
    grace: dict[str, str | None] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)
    numbered: int = 1

    def cluster(self) -> Cluster:
        client = httpx.Client(base_url="https://cluster.test", transport=httpx.MockTransport(self.answer))
        return Cluster(client, self.execute, clock=self.clock, name="here", context="ctx", config="/k/config")

    def place(self, image: str = "an-image", **given: Any) -> Place:
        def meeting(at: Sequence[str]) -> Meeting:
            made = FakeMeeting(at)
            made.met = set(self.met)
            return made

        told: dict[str, Any] = {
            "labels": {"agentrig.run": "a run/1"},
            "inside": True,
            "clock": self.clock,
            "tell": lambda _: None,
            "environ": {"AGENTRIG_HOST_ADDRESS": HOST},
            "meeting": meeting,
            "reached": lambda _, __: True,
            "towards": lambda _: HOST,
        }
        return Place(self.cluster(), image, **(told | given))

    def agents(self) -> dict[str, dict[str, Any]]:
        return {name: pod for name, pod in self.pods.items() if name != KEEPER}

    # --- its API -----------------------------------------------------------------------
    def answer(self, request: httpx.Request) -> httpx.Response:  # noqa: PLR0911 - one for each kind of path
        if (wrong := self._goes_wrong(request)) is not None:
            return wrong
        path = request.url.path
        parts = path.strip("/").split("/")
        told = json.loads(request.content) if request.content else {}
        if path == "/version":
            return httpx.Response(200, json={"gitVersion": "v1.34.4"})
        if parts[:3] == ["api", "v1", "nodes"]:
            return self._summary()
        if parts[-1] == "networkpolicies":
            self.policies.append(told)
            return httpx.Response(201, json=told)
        if len(parts) == 3:
            return self._all_namespaces(request, told)
        if len(parts) == 4:
            return self._one_namespace(request.method, parts[3])
        return self._in_namespace(request, parts[5:], told)

    def _goes_wrong(self, request: httpx.Request) -> httpx.Response | None:
        """Return what is answered to a call that is not done, None where it is."""
        if self.silent is not None and self.silent_for != 0:
            self.silent_for = None if self.silent_for is None else self.silent_for - 1
            raise self.silent
        path = request.url.path
        self.asked.append(f"{request.method} {path}")
        if self.busy:
            self.busy -= 1
            return refused(429, "TooManyRequests", "the server is busy")
        if self.refuses and request.method == self.refuses[0] and path.endswith(self.refuses[1]):
            kind = self.refuses[1].rpartition("/")[2]
            said = (
                f'{kind} is forbidden: User "bot" cannot {request.method} resource "{kind}" in API group ""'
            )
            return refused(403, "Forbidden", said)
        if request.method == "POST" and self.refused_once:
            told_once, self.refused_once = self.refused_once, None
            return refused(*told_once)
        if request.method == "POST" and self.done_but_lost:
            lost, self.done_but_lost = self.done_but_lost, 0
            self.answer(request)
            self.done_but_lost = lost - 1
            raise httpx.ReadError("reset by peer")
        return None

    def _all_namespaces(self, request: httpx.Request, told: dict[str, Any]) -> httpx.Response:
        if request.method == "GET":
            wanted = request.url.params["labelSelector"]
            found = [n for n in self.namespaces.values() if wanted in n["metadata"].get("labels", {})]
            return httpx.Response(200, json={"items": found})
        name = told["metadata"]["name"]
        if name in self.namespaces:
            return refused(409, "AlreadyExists", f'namespaces "{name}" already exists')
        told["metadata"]["uid"] = f"uid-of-{name}"
        self.namespaces[name] = told
        return httpx.Response(201, json=told)

    def _one_namespace(self, method: str, name: str) -> httpx.Response:
        if name not in self.namespaces:
            return refused(404, "NotFound", f'namespaces "{name}" not found')
        told = self.namespaces[name]
        if method == "DELETE" and not self.stuck:
            self.namespaces.pop(name)
            self.pods.clear()
        held = [
            {"type": "NamespaceDeletionDiscoveryFailure", "status": "True", "message": HELD},
            {"type": "NamespaceContentRemaining", "status": "False", "message": "all content is removed"},
        ]
        return httpx.Response(200, json={**told, "status": {"conditions": held}})

    def _in_namespace(self, request: httpx.Request, parts: list[str], told: dict[str, Any]) -> httpx.Response:
        params = request.url.params
        if len(parts) == 0 and request.method == "GET":
            return httpx.Response(200, json={"items": list(self.pods.values())})
        if len(parts) == 0 and request.method == "POST":
            return self._create(told)
        if len(parts) == 0:
            self.grace["*"] = params.get("gracePeriodSeconds")
            self.pods.clear()
            return httpx.Response(200, json={})
        if parts[0] not in self.pods:
            return refused(404, "NotFound", f'pods "{parts[0]}" not found')
        if parts[-1] == "log":
            return self._printed(parts[0], params)
        self.grace[parts[0]] = params.get("gracePeriodSeconds")
        self.pods.pop(parts[0])
        return httpx.Response(200, json={})

    def _printed(self, name: str, params: httpx.QueryParams) -> httpx.Response:
        said = self.keeper_said if name == KEEPER else self.output
        self.heard.append(dict(params))
        if (wrong := not_a_time(params)) is not None:
            return wrong
        if "timestamps" in params:
            lines = said.splitlines(keepends=True)
            said = "".join(
                f"{STAMP.format(number // self.coarse)} {line}" for number, line in enumerate(lines)
            )
            said += self.grumbles
        else:
            said = "\n".join(said.splitlines()[-int(params["tailLines"]) :])
        if self.cuts:
            return httpx.Response(200, content=broken(said.encode()[: self.cuts.pop(0)]))
        return httpx.Response(200, text=said)

    def _create(self, told: dict[str, Any]) -> httpx.Response:
        name = told["metadata"]["name"]
        if self.account_after:
            self.account_after -= 1
            said = 'error looking up service account n/default: serviceaccount "default" not found'
            return refused(403, "Forbidden", f'pods "{name}" is forbidden: {said}')
        if name in self.pods:
            return refused(409, "AlreadyExists", f'pods "{name}" already exists')
        told["spec"]["nodeName"] = NODE
        if self.added:
            told["spec"]["containers"].insert(0, {"name": self.added, "image": "added"})
        if self.limited:
            told["spec"]["containers"][0]["resources"]["limits"].setdefault("cpu", self.limited)
        told["status"] = self._begun(name)
        self.pods[name] = told
        return httpx.Response(201, json=told)

    def _begun(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = {"phase": "Pending"}
        if self.unschedulable:
            scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            return status | {"conditions": [{**scheduled, "message": self.unschedulable}]}
        if self.waiting:
            reason, message = self.waiting
            return status | {
                "containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]
            }
        self.numbered += 1
        ips = self.ips or (f"10.244.0.{self.numbered}",)
        status |= {"phase": "Running", "podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips], "hostIP": HOST}
        code = self.keeper_ends if name == KEEPER else self.dead_at_once
        if code is not None:
            return status | ended(code, "OOMKilled" if self.over_memory else "Error")
        return status | {"containerStatuses": [{"state": {"running": {}}, "imageID": self.image_id}]}

    def _summary(self) -> httpx.Response:
        if not self.counts:
            return refused(
                403, "Forbidden", 'nodes "the-node" is forbidden: cannot get resource "nodes/proxy"'
            )
        counted = {
            "containers": [
                {"cpu": {"usageCoreNanoSeconds": 2_500_000_000}, "memory": {"workingSetBytes": 41943040}}
            ]
        }
        namespace = next(iter(self.namespaces))
        pods = [{"podRef": {"name": name, "namespace": namespace}, **counted} for name in self.agents()]
        elsewhere = {"podRef": {"name": "agent-1", "namespace": "other"}, **counted}
        early = {"podRef": {"name": "agent-9", "namespace": namespace}, "containers": [{"name": "agent"}]}
        return httpx.Response(200, json={"pods": [*pods, elsewhere, early]})

    def execute(self, namespace: str, pod: str, command: Sequence[str]) -> Ran:
        if pod not in self.pods or "running" not in state_of(self.pods[pod]):
            raise ClusterError(f"a command in pod {pod}: container not found", 0)
        self.executed.append((pod, command[-1]))
        if "-KILL" in command[-1]:
            self.pods[pod]["status"] |= ended(137, "Error")
        return Ran(0, b"")


def not_a_time(params: httpx.QueryParams) -> httpx.Response | None:
    """Return what is answered to who asks for a log since something that is no time; None for who doesn't."""
    try:
        datetime.fromisoformat(params.get("sinceTime", "2026-01-01T00:00:00Z"))
    except ValueError:
        return refused(400, "BadRequest", "v1.PodLogOptions.SinceTime: parsing time: cannot parse")
    return None


def broken(told: bytes) -> Iterator[bytes]:
    """Yield what came before the connection broke."""
    yield told
    raise httpx.ReadError("reset by peer")


def ended(code: int, reason: str) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason}}
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"state": state}]}


def state_of(pod: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = pod["status"].get("containerStatuses", [{}])[0].get("state", {})
    return state


def refused(status: int, reason: str, message: str) -> httpx.Response:
    told = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": status}
    return httpx.Response(status, json=told)
