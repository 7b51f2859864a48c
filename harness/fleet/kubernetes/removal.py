"""Removes what fleets have in clusters: `python -m` with a context and a namespace, as `leftovers` does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from harness.clock import Clock, SystemClock
from harness.errors import AgentrigError
from harness.fleet.kubernetes.api import MOST_SAID, NOT_THERE, THERE_ALREADY, Cluster, ClusterError
from harness.fleet.kubernetes.kubeconfig import connect
from harness.outside.secrets import beginning
from harness.process.leftovers import FLEET_LABEL

GONE_S: Final = 90.0
"""How long a namespace may take to go: its pods end first, and the cluster looks every few seconds."""
POLL_S: Final = 0.25
NAMESPACES: Final = "/api/v1/namespaces"
AT_ONCE: Final = {"gracePeriodSeconds": "1"}
"""Without grace a pod is forgotten before it has ended; by this a kubelet ends it first."""
EXPIRES_LABEL: Final = "agentrig.expires"
"""When it may be taken for forgotten, in Unix seconds: whoever comes next with a fleet then removes it."""


def ours(cluster: Cluster) -> list[dict[str, Any]]:
    """Return the metadata of all namespaces that a fleet or a bench made.

    Raises:
        ClusterError: the cluster does not answer, or refuses.
    """
    found = cluster.call("GET", NAMESPACES, params={"labelSelector": EXPIRES_LABEL})["items"]
    return [each["metadata"] for each in found if FLEET_LABEL in (each["metadata"].get("labels") or {})]


def with_owned(cluster: Cluster, namespace: str) -> tuple[str, ...]:
    """Return those of the fleets that a bench has in a cluster, and then its own; its own alone without.

    The cluster itself removes what is owned, a while after its owner has gone.

    Raises:
        ClusterError: the cluster does not answer, or refuses.
    """
    owned = [
        each["name"]
        for each in ours(cluster)
        if any(owner.get("name") == namespace for owner in each.get("ownerReferences") or ())
    ]
    return (*owned, namespace)


def remove_expired(cluster: Cluster, now_s: float) -> None:
    """Remove what nobody knows of any more.

    Raises:
        ClusterError: the cluster does not answer, or refuses.
    """
    for each in ours(cluster):
        expires = each["labels"][EXPIRES_LABEL]
        if expires.isdigit() and int(expires) < now_s:
            with suppress(ClusterError):  # it is somebody else's, and may be stuck: that is not our end
                ask_to_go(cluster, each["name"])


def ask_to_go(cluster: Cluster, namespace: str) -> None:
    """Let a namespace and all in it go, and return at once.

    Raises:
        ClusterError: the cluster does not answer, or refuses.
    """
    pods = f"{NAMESPACES}/{namespace}/pods"
    cluster.call("DELETE", pods, params=AT_ONCE, unless=(NOT_THERE, THERE_ALREADY))
    cluster.call("DELETE", f"{NAMESPACES}/{namespace}", unless=(NOT_THERE, THERE_ALREADY))


def ask_own_to_go(cluster: Cluster, namespace: str) -> None:
    """Let the namespace go whose pod this is, and return at once: to end its pods first would be our own end.

    Raises:
        ClusterError: the cluster does not answer, or refuses.
    """
    cluster.call("DELETE", f"{NAMESPACES}/{namespace}", unless=(NOT_THERE, THERE_ALREADY))


def are_gone(cluster: Cluster, namespaces: Iterable[str], clock: Clock, within_s: float = GONE_S) -> bool:
    """Wait until some namespaces have gone, and return whether they have.

    Raises:
        ClusterError: the cluster does not answer, or refuses.
    """
    deadline_s = clock.monotonic() + within_s
    for each in namespaces:
        while cluster.call("GET", f"{NAMESPACES}/{each}", unless=(NOT_THERE,)) is not None:
            if clock.monotonic() > deadline_s:
                return False
            clock.sleep(POLL_S)
    return True


def why_there(cluster: Cluster, namespace: str) -> str:
    """Return why a namespace does not go, as the cluster tells it: something else of it may be broken."""
    told = cluster.call("GET", f"{NAMESPACES}/{namespace}", unless=(NOT_THERE,), once=True) or {}
    conditions = (told.get("status") or {}).get("conditions") or ()
    held = [str(each.get("message", "")) for each in conditions if each.get("status") == "True"]
    return beginning("; ".join(filter(None, held)), MOST_SAID) or "it is still going"


def main(context: str, namespace: str) -> int:
    """Remove a namespace and what it owns; return 0 once all has gone."""
    clock = SystemClock()
    try:
        cluster = connect(context, clock, os.environ)
        names = with_owned(cluster, namespace)
        for each in names:
            ask_to_go(cluster, each)
        return 0 if are_gone(cluster, names, clock) else 1
    except AgentrigError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
