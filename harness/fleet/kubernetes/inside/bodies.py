"""What is made in a cluster for a bench, as pure functions."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Final

from harness.fleet.kubernetes.inside.errand import GIVEN, ROOM
from harness.fleet.kubernetes.manifests import BENCH, LIVES_S, Json, literal, owned_by
from harness.fleet.kubernetes.namespace import OWNER
from harness.fleet.kubernetes.place import BENCH_NODE

ROLE: Final = "agentrig"
"""The ClusterRole that says what it may do: dashboards/kubernetes/rights/role.yaml."""
ERRAND: Final = ("python3", "-P", "-m", "harness.fleet.kubernetes.inside.errand")
USER: Final = 10001
"""Of the image that dashboards/harness.Dockerfile makes."""
REQUESTS: Final = {"cpu": "250m", "memory": "512Mi"}
"""No limits: where the node is full, or somebody else sets some, the run itself finds that."""
GRACE_S: Final = 180
"""How long a run that is interrupted may take to remove its fleets, and to be fetched."""
FORGOTTEN_S: Final = 3600
"""When the cluster removes a Job that ended."""
WIDE: Final = "1000"
"""Letters of a line: who shows it breaks it."""


def account() -> Json:
    """Return who asks the cluster for the bench."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": BENCH}}


def rights(namespace: str, owner: str) -> Json:
    """Return that the account may do what a fleet needs, until its namespace has gone."""
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": namespace, **owned_by(owner)},
        "roleRef": role,
        "subjects": [{"kind": "ServiceAccount", "name": BENCH, "namespace": namespace}],
    }


def given(files: Sequence[bytes], env: Mapping[str, str]) -> Json:
    """Return what the command is given, as a Secret: a description of an agent holds keys now and then."""
    data = {f"file-{number}": content for number, content in enumerate(files)}
    data |= {f"env.{name}": value.encode() for name, value in env.items()}
    told = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": BENCH}, "data": told}


def job(
    image: str,
    folder: str,
    words: Sequence[str],
    *,
    files: Sequence[str],
    env: Sequence[str],
    owner: str,
    labels: Mapping[str, str],
) -> Json:
    """Return the Job, whose one pod runs a command once.

    Args:
        image: of the harness.
        folder: the command's run folder.
        words: of the command.
        files: where those that `given` got are, below the folder of what was given.
        env: names of the variables that it got.
        owner: the namespace of the bench, `name/uid`: what the command makes is owned by it.
        labels: of the bench.
    """
    node = {"fieldRef": {"fieldPath": "spec.nodeName"}}
    told = {"HOME": ROOM, "COLUMNS": WIDE, "PYTHONUNBUFFERED": "1", OWNER: owner}
    container = {
        "name": BENCH,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": [*ERRAND, *map(literal, (folder, *words))],
        "workingDir": ROOM,
        "env": [
            *({"name": name, "value": value} for name, value in told.items()),
            {"name": BENCH_NODE, "valueFrom": node},
            *(
                {"name": name, "valueFrom": {"secretKeyRef": {"name": BENCH, "key": f"env.{name}"}}}
                for name in env
            ),
        ],
        "resources": {"requests": REQUESTS},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [
            {"name": "room", "mountPath": ROOM},
            *([{"name": "given", "mountPath": GIVEN, "readOnly": True}] if files else []),
        ],
    }
    items = [{"key": f"file-{number}", "path": path} for number, path in enumerate(files)]
    spec = {
        "restartPolicy": "Never",
        "serviceAccountName": BENCH,
        "terminationGracePeriodSeconds": GRACE_S,
        "enableServiceLinks": False,
        "shareProcessNamespace": True,  # whose process is left alone is somebody's child again
        "securityContext": {"runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER},
        "containers": [container],
        "volumes": [
            {"name": "room", "emptyDir": {}},
            *([{"name": "given", "secret": {"secretName": BENCH, "items": items}}] if files else []),
        ],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": BENCH, "labels": dict(labels)},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": LIVES_S,
            "ttlSecondsAfterFinished": FORGOTTEN_S,
            "template": {"metadata": {"labels": dict(labels)}, "spec": spec},
        },
    }
