"""The rights that the documentation gives a fleet: those that it uses, each of them, and no other."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import StartError
from harness.fleet.kubernetes.inside import bodies
from harness.fleet.kubernetes.pod import Pod
from tests.harness.fleet.kubernetes.fake_api import FakeCluster
from tests.harness.fleet.kubernetes.inside.fake_bench import FakeBench
from tests.harness.fleet.kubernetes.inside.test_bench import ran, run

RIGHTS = Path(__file__).parents[4] / "dashboards" / "kubernetes" / "rights"
VERBS = {"POST": "create", "DELETE": "delete"}
EXECUTES = {("pods/exec", "get"), ("pods/exec", "create")}
"""A command in a pod is asked for by GET, which newer clusters take for a create."""
BINDS = {("clusterroles", "bind")}
"""Who gives somebody rights has to have them, or this one."""


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
    assert {right(asked) for asked in fake.asked} | EXECUTES == given("role.yaml")


def test_who_starts_a_bench_inside_needs_these_and_no_more(tmp_path: Path) -> None:
    quota = FakeBench(forbids="failed quota")
    with pytest.raises(StartError):
        quota.bench().__enter__()
    whole, stopped = ran(tmp_path), ran(tmp_path)
    run(whole, tmp_path)

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), stopped.bench() as bench:
        bench.run(tmp_path, interrupt)
    asked = (*quota.asked, *whole.asked, *stopped.asked)
    assert {right(each) for each in asked} | EXECUTES | BINDS == given("inside.yaml")


def test_the_bench_may_do_there_what_who_runs_here_may() -> None:
    (role,), (inside,) = documents("role.yaml"), documents("inside.yaml")
    assert role["metadata"]["name"] == bodies.ROLE
    bound = [rule for rule in inside["rules"] if "bind" in rule["verbs"]]
    assert [rule["resourceNames"] for rule in bound] == [[bodies.ROLE]], "or it could give itself any right"


def documents(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((RIGHTS / file).read_text("utf-8")))


def given(file: str) -> set[tuple[str, str]]:
    return {
        (resource, verb)
        for document in documents(file)
        for rule in document["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
