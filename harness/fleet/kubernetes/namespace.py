"""A namespace of ours in a cluster: labels to find it by, and its end, whatever becomes of who made it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from harness.clock import Clock
from harness.errors import StartError
from harness.fleet.kubernetes import manifests
from harness.fleet.kubernetes.api import Cluster, ClusterError
from harness.fleet.kubernetes.removal import (
    EXPIRES_LABEL,
    NAMESPACES,
    are_gone,
    ask_to_go,
    remove_expired,
    why_there,
    with_owned,
)
from harness.process import guard
from harness.process.leftovers import FLEET_LABEL
from harness.process.uninterrupted import uninterrupted

OWNER: Final = "AGENTRIG_BENCH"
"""The variable by which a run in a pod knows that pod's namespace, `name/uid`: it owns what the run makes."""


class Namespace:
    """One, for the length of a `with` block; all that is in it goes with it, and all that it owns.

    Args:
        cluster: that has it.
        labels: what is told of it to who looks at the cluster.
        clock: says what time it is.
        tell: told what could not be removed where something else went wrong before.
        environ: names its owner, where it has one.

    Attributes:
        name: that no other has; it is called `agentrig-` and this.
        labels: of it and of all that is in it.
        uid: by which it can be an owner.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        labels: Mapping[str, str],
        clock: Clock,
        tell: Callable[[str], None],
        environ: Mapping[str, str],
    ) -> None:
        self.name = secrets.token_hex(4)
        self.called = f"agentrig-{self.name}"
        self.path = f"{NAMESPACES}/{self.called}"
        self.uid = ""
        known = {key: manifests.label(value) for key, value in labels.items()}
        expires = {EXPIRES_LABEL: str(int(clock.now() + manifests.LIVES_S))}
        self.labels = {**known, **expires, FLEET_LABEL: self.name}
        self._cluster = cluster
        self._clock = clock
        self._tell = tell
        self._owner = environ.get(OWNER, "")
        self._refused = False

    def __enter__(self) -> Self:
        """Remove what was forgotten in the cluster, and make it.

        Raises:
            ClusterError: the cluster does not answer, or refuses.
        """
        remove_expired(self._cluster, self._clock.now())
        guard.housed(self._cluster.context, self._cluster.config, self.called)
        try:
            self.uid = str(self._make()["metadata"].get("uid", ""))
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it with all pods.

        Raises:
            StartError: that can't be done, and nothing else went wrong.
        """
        if self._refused:
            guard.left_home(self._cluster.context, self._cluster.config, self.called)
            return
        try:
            with uninterrupted():
                names = with_owned(self._cluster, self.called)
                for each in names:
                    ask_to_go(self._cluster, each)
            if are_gone(self._cluster, names, self._clock):
                guard.left_home(self._cluster.context, self._cluster.config, self.called)
                return
            why = why_there(self._cluster, self.called)
        except ClusterError as refused:
            why = str(refused)
        said = (
            f"the namespace {self.called} is still in the cluster {self._cluster.name} ({why}). The end of "
            f"agentrig removes it, or its next start; by hand: kubectl delete namespace {self.called}"
        )
        if kind is None:
            raise StartError(said)
        self._tell(said)

    def _make(self) -> Any:
        body = manifests.namespace(self.called, self.labels, self._owner)
        try:
            made = self._cluster.call("POST", NAMESPACES, json=body)
        except ClusterError as error:
            self._refused = not error.passes  # of one whose answer was lost, nobody knows
            raise
        return made or self._cluster.call("GET", self.path)  # the first answer was lost
