"""The rights that the documentation gives a fleet: those that it uses, each of them, and no other."""

from pathlib import Path

import pytest
import yaml

from harness.errors import StartError
from harness.fleet.kubernetes.pod import Pod
from tests.harness.fleet.kubernetes.fake_api import FakeCluster

ROLE = Path(__file__).parents[4] / "dashboards" / "kubernetes" / "rights" / "role.yaml"
VERBS = {"POST": "create", "DELETE": "delete"}
EXECUTES = {("pods/exec", "get"), ("pods/exec", "create")}
"""A command in a pod is asked for by GET, which newer clusters take for a create."""


def right(asked: str) -> tuple[str, str]:
    """Return the resource and the verb of a call."""
    method, _, path = asked.partition(" ")
    parts = path.strip("/").split("/")
    after = parts[parts.index("v1") + 1 :]
    if after[0] == "namespaces" and len(after) > 2:
        after = after[2:]
    named = len(after) > 1
    resource = "/".join([after[0], *after[2:3]])
    if method == "GET":
        return resource, "get" if named else "list"
    return resource, "deletecollection" if method == "DELETE" and not named else VERBS[method]


def test_each_right_is_used_and_none_is_missing(tmp_path: Path) -> None:
    fake = FakeCluster(keeper_said="agentrig: no way", met=frozenset())
    with pytest.raises(StartError):
        fake.place().__enter__()
    fake.met = frozenset({"198.18.0.1"})
    with fake.place() as place:
        pod = Pod("agent-1", {}, place, log=tmp_path / "log", memory_mb=64, cpus=None, clock=fake.clock)
        pod.start()
        pod.poll()
        pod.usage()
        pod.stop(1.0)
    used = {right(asked) for asked in fake.asked} | EXECUTES
    given = {
        (resource, verb)
        for rule in yaml.safe_load(ROLE.read_text("utf-8"))["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert used == given
