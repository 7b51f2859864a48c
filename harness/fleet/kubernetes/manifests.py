"""What is made in a cluster for a fleet, as pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from harness.fleet.images import PORT, SHARED
from harness.process.leftovers import FLEET_LABEL

Json = dict[str, Any]
KEEPER: Final = "keeper"
"""The pod that keeps the folder which all share, and tries the way to this machine."""
AGENT: Final = "agent"
"""Of a pod, the container in which the agent is."""
BENCH: Final = "bench"
"""Likewise where all of a run is; and how its account, its rights, its secret and its Job are called."""
PART_LABEL: Final = "agentrig.part"
"""What a pod of a fleet is, its keeper or an agent: a Service can be told to send to the agents alone."""
ON_NODE: Final = "/var/tmp/agentrig"  # noqa: S108 - of the node: the keeper makes a folder in it, and removes that
WITHIN_KEEPER: Final = "/node"
PORT_NAME: Final = "http"
LEAST_CPU_M, LEAST_MB = 10, 32
"""What a pod asks the scheduler for, in thousandths of a core and MiB: no more than its limits. If these were
taken, two agents would fill a node of two cores, and the third wait for ever."""
NAME_LABEL: Final = "kubernetes.io/metadata.name"
"""Which the cluster itself gives each namespace."""
MOST_LABEL: Final = 63
LIVES_S: Final = 2 * 24 * 3600
"""How long a pod runs, whatever becomes of who started it."""
GRACE_S: Final = 30
ROUNDS: Final = 20
"""How often the keeper tries every address, a second apart."""
MET, NO_WAY, NO_TOOL = "agentrig: met", "agentrig: no way", "agentrig: no tool"
"""Last lines of the keeper."""


def label(value: str) -> str:
    """Return a text as it may be the value of a label."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", value)[:MOST_LABEL].strip("-._")


def literal(text: str) -> str:
    """Return how a pod is told a text, in which dollars are no names of variables."""
    return text.replace("$", "$$")


def namespace(name: str, labels: Mapping[str, str], owner: str = "") -> Json:
    """Return a namespace, in which pods may have a folder of their node and be root.

    Args:
        name: of it.
        labels: of it.
        owner: which other one owns it, `name/uid`: the cluster removes it after that one.
    """
    known = {**labels, "pod-security.kubernetes.io/enforce": "privileged"}
    told: Json = {"name": name, "labels": known}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": told | owned_by(owner)}


def owned_by(owner: str) -> Json:
    """Return how what has no namespace says which one owns it, `name/uid`; nothing for none."""
    name, _, uid = owner.partition("/")
    whose = {"apiVersion": "v1", "kind": "Namespace", "name": name, "uid": uid}
    return {"ownerReferences": [whose]} if owner else {}


def walls(addresses: Iterable[str], bench: str = "") -> Json:
    """Return what keeps the pods of a namespace from all but some addresses.

    Args:
        addresses: of this machine.
        bench: the namespace of the pod that this is; empty where it is none. Some networks know pods by their
            labels alone, and take no address for one.
    """
    pods = {"podSelector": {}, "namespaceSelector": {"matchLabels": {NAME_LABEL: bench}}}
    to: list[Json] = [{"ipBlock": {"cidr": f"{address}/32"}} for address in addresses]
    to += [pods] if bench else []
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "nothing-beyond-this-machine"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": to}]},
    }


def agent(
    name: str,
    image: str,
    env: Mapping[str, str],
    *,
    labels: Mapping[str, str],
    memory_mb: int,
    cpus: float | None,
    node: str,
    grace_s: int = GRACE_S,
    probed: str = "",
) -> Json:
    """Return the pod of an agent.

    What has died in it stays dead, as a process does. None of its processes is process 1, which a signal ends
    only if it has a handler for it: by a shell beside them each can be killed.

    Args:
        name: in the fleet.
        image: what it is made of.
        env: its environment, beside what its image says.
        labels: of the fleet.
        memory_mb: it may have, in MiB.
        cpus: it may keep busy, None for as many as there are.
        node: that has the folder which all share.
        grace_s: how long it may take to end.
        probed: the path at which the kubelet asks whether it is ready, empty where nobody looks at that.
    """
    cpu_m = max(1, round(1000 * cpus)) if cpus else None
    limits = {"memory": f"{memory_mb}Mi"} | ({"cpu": f"{cpu_m}m"} if cpu_m else {})
    asked = _requests(min(LEAST_CPU_M, cpu_m or LEAST_CPU_M), min(LEAST_MB, memory_mb))
    container = {
        "name": AGENT,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": key, "value": literal(value)} for key, value in env.items()],
        "ports": [{"name": PORT_NAME, "containerPort": PORT}],
        "resources": {"limits": limits, "requests": asked},
        "volumeMounts": [{"name": "shared", "mountPath": SHARED}],
        **({"readinessProbe": _probe(probed)} if probed else {}),
    }
    shared = {"path": f"{ON_NODE}/{labels[FLEET_LABEL]}", "type": "Directory"}
    return _pod(
        name,
        container,
        labels,
        {"name": "shared", "hostPath": shared},
        node=node,
        shareProcessNamespace=True,
        terminationGracePeriodSeconds=grace_s,
    )


def _probe(path: str) -> Json:
    """Return the quickest probe of readiness that there is: each second, and one answer decides."""
    asked = {"path": path, "port": PORT_NAME}
    return {"httpGet": asked, "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1}


def keeper(
    image: str, addresses: Iterable[str], token: str, labels: Mapping[str, str], node: str = ""
) -> Json:
    """Return the pod that makes the folder which all share, and removes it when it ends.

    Before that it tries each of some addresses, `host:port`, from within the cluster; who listens there is
    told the token, and so knows that it was found. All agents are where it is: on any node if none is said.
    """
    told = {"FLEET": labels[FLEET_LABEL], "TOKEN": token, "AT": " ".join(addresses)}
    container = {
        "name": KEEPER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", SCRIPT],
        "env": [{"name": key, "value": value} for key, value in told.items()],
        "resources": {"limits": {"memory": "128Mi"}, "requests": _requests(LEAST_CPU_M, LEAST_MB)},
        "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
        "volumeMounts": [{"name": "node", "mountPath": WITHIN_KEEPER}],
    }
    volume = {"name": "node", "hostPath": {"path": ON_NODE, "type": "DirectoryOrCreate"}}
    return _pod(KEEPER, container, labels, volume, node=node)


def _requests(cpu_m: int, memory_mb: int) -> dict[str, str]:
    """Return what a container asks for, which may be no more than its limits."""
    return {"cpu": f"{cpu_m}m", "memory": f"{memory_mb}Mi"}


def _pod(
    name: str, container: Json, labels: Mapping[str, str], volume: Json, *, node: str = "", **more: Any
) -> Json:
    at = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": at}}
    spec = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": LIVES_S,
        "terminationGracePeriodSeconds": GRACE_S,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        "volumes": [volume],
        **({"affinity": {"nodeAffinity": required}} if node else {}),
        **more,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {**labels, PART_LABEL: container["name"]}},
        "spec": spec,
    }


SCRIPT: Final = f"""\
folder="{WITHIN_KEEPER}/$FLEET"
trap 'rm -rf "$folder"; exit 0' TERM INT
mkdir -p "$folder" && chmod 777 "$folder" || exit 1
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY
has() {{ command -v "$1" >/dev/null 2>&1; }}
if has python3; then
  meet() {{ python3 -I -S -c 'import socket, sys
met = socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)
met.sendall(b"GET /" + sys.argv[3].encode() + b" HTTP/1.0\\r\\n\\r\\n")
sys.exit(not met.recv(1))' "$@"; }}
elif has curl; then meet() {{ curl -s -m 3 -o /dev/null "http://$1:$2/$3"; }}
elif has wget; then meet() {{ wget -q -T 3 -O /dev/null "http://$1:$2/$3"; }}
elif has node; then
  meet() {{ node -e 'const [host, port, token] = process.argv.slice(1)
const met = require("net").connect(+port, host, () => met.write("GET /" + token + " HTTP/1.0\\r\\n\\r\\n"))
met.on("data", () => process.exit(0)).on("error", () => process.exit(1))
setTimeout(() => process.exit(1), 3000)' "$@"; }}
elif has bash; then
  meet() {{ timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET /%s HTTP/1.0\\r\\n\\r\\n" "$2" >&3 &&
read -r _ <&3' "$@"; }}
else
  AT= said="{NO_TOOL}"
fi
round=0
while [ -n "$AT" ] && [ "$round" -lt {ROUNDS} ]; do
  said="{NO_WAY}" tried=
  for each in $AT; do
    meet "${{each%:*}}" "${{each##*:}}" "$TOKEN" 2>/dev/null &
    tried="$tried $!"
  done
  for each in $tried; do wait "$each" && said="{MET}"; done
  [ "$said" = "{MET}" ] && break
  round=$((round + 1))
  sleep 1 & wait $! # a trap waits for what is not in the background
done
echo "$said"
while :; do sleep 3600 & wait $!; done
"""
"""Of the keeper: POSIX shell, and of what else an image may have the first that is there."""
