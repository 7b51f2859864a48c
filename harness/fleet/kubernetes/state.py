"""What the API tells of a pod, as a fleet needs it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from harness.errors import StartError
from harness.fleet.kubernetes.manifests import AGENT, BENCH, KEEPER
from harness.outside.secrets import beginning

SCHEDULED_S: Final = 15.0
"""How long a pod may find no node; one that has to be started first takes minutes, and is not waited for."""
HOPELESS: Final = frozenset(
    {
        *("ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName"),
        *("CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
    }
)
"""Reasons for which a container waits that does not get better by waiting."""
OF_IMAGES: Final = ("ErrImage", "ImagePull", "InvalidImage")
LESS: Final = "or ask for less (agent.memory_mb, agent.cpus, fewer agents)"
OVER_MEMORY: Final = "OOMKilled"
CPU: Final = "cpu"
OURS: Final = frozenset({AGENT, BENCH, KEEPER})
MOST_SAID: Final = 1000
"""Characters of a message that are shown."""


class PodState:
    """What is known of a pod of one container of ours, as of one look.

    Args:
        told: the pod, as the API has it.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.name = str(told["metadata"]["name"])
        spec = told["spec"]
        self._containers = {str(each["name"]): each for each in spec["containers"]}
        self._containers |= {str(each["name"]): each for each in spec.get("initContainers") or ()}
        self.node = str(spec.get("nodeName", ""))
        self._status: Mapping[str, Any] = told.get("status") or {}
        self.leaves = bool(told["metadata"].get("deletionTimestamp"))

    @property
    def address(self) -> str:
        """Its address of IPv4, empty while it has none.

        Raises:
            StartError: it has one of IPv6 alone.
        """
        given = [str(each.get("ip", "")) for each in self._status.get("podIPs") or ()]
        known = [each for each in (*given, str(self._status.get("podIP", ""))) if each]
        found = next((each for each in known if ":" not in each), "")
        if known and not found:
            raise StartError(
                f"{self.name} has an address of IPv6 alone, {known[0]}: what agents call listens at one of "
                "IPv4. A cluster of IPv4, or of both, is needed."
            )
        return found

    @property
    def image_id(self) -> str:
        """What it is made of, by the digest that its node knows; empty while that is not told."""
        return str(self._told.get("imageID", ""))

    def require_as_asked(self, asked: Mapping[str, Any]) -> None:
        """Look whether nothing was added to it by what admits pods to the cluster.

        Args:
            asked: the pod as it was to be made.

        Raises:
            StartError: it has more containers, whose work would be measured, or a limit of CPU.
        """
        self.require_alone(self.name)
        (wanted,) = asked["spec"]["containers"]
        given = _limits(self._containers[wanted["name"]])
        if wanted["name"] == AGENT and CPU in given and CPU not in _limits(wanted):
            raise StartError(
                f"the cluster limits {self.name} to {given[CPU]} of CPU, which nobody asked for (a "
                "LimitRange?): an agent that waits for its share looks slow. Give agent.cpus, or let what "
                "limits it leave out namespaces with the label agentrig.fleet."
            )

    def require_alone(self, name: str) -> None:
        """Look whether no container was added to it by what admits pods to the cluster.

        Args:
            name: of it, as it is told.

        Raises:
            StartError: there are others, whose work would be measured.
        """
        if added := sorted(self._containers.keys() - OURS):
            raise StartError(
                f"the cluster adds {', '.join(added)} to each pod, such as {name}: what it does with "
                "requests would be taken for the agent's. Let what adds it leave out namespaces with the "
                "label agentrig.fleet."
            )

    @property
    def host(self) -> str:
        """The address of its node."""
        return str(self._status.get("hostIP", ""))

    @property
    def running(self) -> bool:
        """Whether its container runs."""
        return "running" in self._container

    @property
    def ended(self) -> int | None:
        """Its exit status, None while it has not ended; -1 where none is told."""
        if (ended := self._container.get("terminated")) is not None:
            return int(ended.get("exitCode", -1))
        return -1 if self._status.get("phase") in {"Failed", "Succeeded"} else None

    @property
    def over_memory(self) -> bool:
        """Whether it was killed because it had more memory than it may."""
        return str((self._container.get("terminated") or {}).get("reason", "")) == OVER_MEMORY

    @property
    def why(self) -> str:
        """What the cluster says of its end, empty where it says nothing that is not known."""
        ended = self._container.get("terminated") or {}
        said = [ended.get("message") or self._status.get("message"), self._status.get("reason")]
        return " ".join(beginning(str(each), MOST_SAID) for each in said if each)

    @property
    def _told(self) -> Mapping[str, Any]:
        """What is told of our container."""
        statuses = self._status.get("containerStatuses") or [{}]
        told: Mapping[str, Any] = next((each for each in statuses if each.get("name") in OURS), statuses[0])
        return told

    @property
    def _container(self) -> Mapping[str, Any]:
        state: Mapping[str, Any] = self._told.get("state") or {}
        return state

    @property
    def _image(self) -> str:
        first = next(iter(self._containers.values()))
        return str(next((each for name, each in self._containers.items() if name in OURS), first)["image"])

    def require_progress(self, waited_s: float, less: str = LESS, *, most_s: float = math.inf) -> None:
        """Look whether it can start at all, of one that has not.

        Args:
            waited_s: how long it has had, in seconds.
            less: what else helps beside making room.
            most_s: that it may have.

        Raises:
            StartError: it won't: it has no image, no node has room, or it takes too long.
        """
        waiting = self._container.get("waiting") or {}
        reason = str(waiting.get("reason", ""))
        message = beginning(str(waiting.get("message", "")), MOST_SAID)
        if reason in HOPELESS:
            raise StartError(f"{self.name} can't start: {reason}: {message}.{self._todo(reason)}")
        for condition in self._status.get("conditions") or ():
            late = waited_s > SCHEDULED_S and condition.get("reason") == "Unschedulable"
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False" and late:
                said = beginning(str(condition.get("message", "")), MOST_SAID)
                raise StartError(
                    f"{self.name} finds no node after {waited_s:.0f} s: {said}. Make room, {less}."
                )
        if waited_s > most_s:
            said = " ".join(each for each in (reason, message) if each) or "the cluster does not say why"
            raise StartError(
                f"{self.name} does not run after {waited_s:.0f} s: {said}. `kubectl get events -A` may "
                "tell more."
            )

    def _todo(self, reason: str) -> str:
        if not reason.startswith(OF_IMAGES):
            return ""
        return (
            f" The cluster has no image {self._image}: give it one (`kind load docker-image {self._image}`, "
            f"`minikube image load {self._image}`, `k3s ctr images import`), or push it for it to pull."
        )


def _limits(container: Mapping[str, Any]) -> Mapping[str, str]:
    limits: Mapping[str, str] = (container.get("resources") or {}).get("limits") or {}
    return limits
