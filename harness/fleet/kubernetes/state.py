"""What the API tells of a pod, as a fleet needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from harness.errors import StartError

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


class PodState:
    """What is known of a pod of one container, as of one look.

    Args:
        told: the pod, as the API has it.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.name = str(told["metadata"]["name"])
        self._image = str(told["spec"]["containers"][0]["image"])
        self.node = str(told["spec"].get("nodeName", ""))
        self._status: Mapping[str, Any] = told.get("status") or {}

    @property
    def address(self) -> str:
        """Its IP address, empty while it has none."""
        return str(self._status.get("podIP", ""))

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
        return " ".join(str(each) for each in said if each)

    @property
    def _container(self) -> Mapping[str, Any]:
        statuses = self._status.get("containerStatuses") or [{}]
        state: Mapping[str, Any] = statuses[0].get("state") or {}
        return state

    def require_progress(self, waited_s: float, less: str = LESS) -> None:
        """Look whether it can start at all, of one that has not.

        Args:
            waited_s: how long it has had, in seconds.
            less: what else helps beside making room.

        Raises:
            StartError: it won't: it has no image, or no node has room.
        """
        waiting = self._container.get("waiting") or {}
        reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
        if reason in HOPELESS:
            raise StartError(f"{self.name} can't start: {reason}: {message}.{self._todo(reason)}")
        for condition in self._status.get("conditions") or ():
            late = waited_s > SCHEDULED_S and condition.get("reason") == "Unschedulable"
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False" and late:
                raise StartError(
                    f"{self.name} finds no node after {waited_s:.0f} s: {condition.get('message', '')}. "
                    f"Make room, {less}."
                )

    def _todo(self, reason: str) -> str:
        if not reason.startswith(OF_IMAGES):
            return ""
        return (
            f" The cluster has no image {self._image}: give it one (`kind load docker-image {self._image}`, "
            f"`minikube image load {self._image}`, `k3s ctr images import`), or push it for it to pull."
        )
