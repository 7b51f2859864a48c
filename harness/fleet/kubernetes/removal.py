"""Removes what fleets have in clusters: `python -m` with a context and a namespace, as `leftovers` does."""

from __future__ import annotations

import os
import sys
from typing import Final

from harness.clock import Clock, SystemClock
from harness.errors import AgentrigError
from harness.fleet.kubernetes.api import MOST_SAID, NOT_THERE, THERE_ALREADY, Cluster
from harness.fleet.kubernetes.kubeconfig import connect
from harness.outside.secrets import beginning

GONE_S: Final = 90.0
"""How long a namespace may take to go: its pods end first, and the cluster looks every few seconds."""
POLL_S: Final = 0.25
NAMESPACES: Final = "/api/v1/namespaces"
AT_ONCE: Final = {"gracePeriodSeconds": "1"}
"""Without grace a pod is forgotten before it has ended; by this a kubelet ends it first."""


def ask_to_go(cluster: Cluster, namespace: str) -> None:
    """Let a namespace and all in it go, and return at once.

    Raises:
        ClusterError: the cluster does not answer, or refuses.
    """
    pods = f"{NAMESPACES}/{namespace}/pods"
    cluster.call("DELETE", pods, params=AT_ONCE, unless=(NOT_THERE, THERE_ALREADY))
    cluster.call("DELETE", f"{NAMESPACES}/{namespace}", unless=(NOT_THERE, THERE_ALREADY))


def is_gone(cluster: Cluster, namespace: str, clock: Clock, within_s: float = GONE_S) -> bool:
    """Wait until a namespace has gone, and return whether it has.

    Raises:
        ClusterError: the cluster does not answer, or refuses.
    """
    deadline_s = clock.monotonic() + within_s
    while cluster.call("GET", f"{NAMESPACES}/{namespace}", unless=(NOT_THERE,)) is not None:
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
    """Remove a namespace; return 0 once it has gone."""
    clock = SystemClock()
    try:
        cluster = connect(context, clock, os.environ)
        ask_to_go(cluster, namespace)
        return 0 if is_gone(cluster, namespace, clock) else 1
    except AgentrigError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
