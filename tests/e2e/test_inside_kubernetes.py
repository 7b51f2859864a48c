"""A whole run as a Job of the cluster that the kubeconfig names, of the images that the two Dockerfiles make.

`make cluster-test` runs these; where no cluster answers, or it has no image of the harness, each is skipped.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.errors import ExitCode
from harness.fleet.kubernetes.api import Cluster
from harness.fleet.kubernetes.inside.bench import RBAC
from harness.fleet.kubernetes.removal import NAMESPACES
from harness.process.leftovers import FLEET_LABEL, REMOVAL_S
from tests.e2e.test_on_kubernetes import COMMAND, cluster, left
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("role")]

__all__ = ["cluster"]  # a fixture
ROLE = Path(__file__).parents[2] / "dashboards" / "kubernetes" / "rights" / "role.yaml"
RUN = (*COMMAND, "run", "cold-start", "--quick", "--on", "kubernetes", "--inside")
LOADED_S = 600.0
"""Until a load begins: image and calibration on a slow machine."""


@pytest.fixture
def role(cluster: Cluster) -> Iterator[None]:
    """Give the cluster the rights of a bench, where nobody did."""
    told = yaml.safe_load(ROLE.read_text("utf-8"))
    path = f"{RBAC}/clusterroles"
    there = cluster.call("GET", f"{path}/{told['metadata']['name']}", unless=(404,))
    if there is None:
        cluster.call("POST", path, json=told)
    yield
    if there is None:
        cluster.call("DELETE", f"{path}/{told['metadata']['name']}")


def bindings(cluster: Cluster) -> list[str]:
    found = cluster.call("GET", f"{RBAC}/clusterrolebindings")["items"]
    return [each["metadata"]["name"] for each in found if each["metadata"]["name"].startswith("agentrig-")]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(folder / "state")}


def begun(folder: Path, log: Path, *more: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [*RUN, "--out", "run", *more],
            cwd=folder,
            env=environment(folder),
            stdout=out,
            stderr=subprocess.STDOUT,
        )


def under_load(harness: subprocess.Popen[bytes], log: Path) -> None:
    def loaded() -> bool:
        told = log.read_text("utf-8", "replace")
        assert harness.poll() is None, told
        return "in flight" in told

    until("a load", loaded, deadline_s=LOADED_S, poll_s=0.5)


def bench_of(cluster: Cluster) -> tuple[str, str]:
    """Return the namespace and the pod of the bench that is there."""
    for name in left(cluster):
        for pod in cluster.call("GET", f"{NAMESPACES}/{name}/pods")["items"]:
            if pod["metadata"]["name"].startswith("bench-"):
                return name, pod["metadata"]["name"]
    raise AssertionError("there is no bench")


def test_an_image_that_is_not_there_is_told_and_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    argv = [*RUN, "--bench-image", "127.0.0.1:1/no-such-image:1"]
    ran = subprocess.run(
        argv, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert ran.returncode == ExitCode.NOT_STARTED, ran.stdout + ran.stderr
    assert "The cluster has no image 127.0.0.1:1/no-such-image:1" in " ".join(ran.stderr.split())
    assert not left(cluster)
    until("no rights", lambda: not bindings(cluster), deadline_s=REMOVAL_S, poll_s=0.5)


def test_an_image_of_something_else_is_told_with_its_last_words(tmp_path: Path) -> None:
    argv = [*RUN, "--bench-image", "agentrig-agent"]
    ran = subprocess.run(
        argv, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert ran.returncode == ExitCode.NOT_STARTED, ran.stdout + ran.stderr
    assert "No module named" in ran.stderr
    assert "harness.Dockerfile" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interruption_in_mid_run_leaves_nothing(
    cluster: Cluster, tmp_path: Path, number: signal.Signals
) -> None:
    log = tmp_path / "log"
    with begun(tmp_path, log) as harness:
        try:
            under_load(harness, log)
            assert len(left(cluster)) == 2, "the bench's, and that of an arm"
        finally:
            harness.send_signal(number)
    if number is not signal.SIGKILL:
        assert harness.returncode == ExitCode.INTERRUPTED, log.read_text()
        assert (tmp_path / "run" / "plan.json").is_file(), "what was measured is here"
        assert not left(cluster)
    until("nothing", lambda: not left(cluster), deadline_s=REMOVAL_S, poll_s=0.5)
    until("no rights", lambda: not bindings(cluster), deadline_s=REMOVAL_S, poll_s=0.5)


@pytest.mark.parametrize(
    ("params", "said"),
    [({}, "was asked to end while it ran"), ({"gracePeriodSeconds": "0"}, "is gone: somebody deleted it")],
)
def test_a_pod_of_the_bench_that_is_deleted_is_a_sentence(
    cluster: Cluster, tmp_path: Path, params: dict[str, str], said: str
) -> None:
    log = tmp_path / "log"
    with begun(tmp_path, log) as harness:
        try:
            under_load(harness, log)
            namespace, pod = bench_of(cluster)
            cluster.call("DELETE", f"{NAMESPACES}/{namespace}/pods/{pod}", params=params)
            harness.wait(REMOVAL_S)
        finally:
            harness.kill()
    told = " ".join(log.read_text("utf-8").split())
    assert harness.returncode == ExitCode.NOT_STARTED, told
    assert said in told or "ended with status 137" in told
    assert not left(cluster)


@pytest.mark.proof
def test_a_run_inside_is_the_same_run_and_comes_back_whole(cluster: Cluster, tmp_path: Path) -> None:
    ran = subprocess.run(
        [*RUN, "--out", "run"],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in {0, 2}, ran.stdout + ran.stderr
    verdict = json.loads((tmp_path / "run" / "verdict.json").read_text("utf-8"))
    assert verdict["verdict"] == {0: "pass", 2: "unknown"}[ran.returncode]
    again = subprocess.run(
        [*COMMAND, "judge", "run", "--json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert json.loads(again.stdout)["verdict"] == verdict["verdict"], "from its files alone"
    assert json.loads((tmp_path / "run" / "plan.json").read_text("utf-8"))["on"] == "kubernetes"
    assert {"requests.jsonl", "spans.jsonl", "journal.jsonl", "report.html", "logs"} <= {
        each.name for each in (tmp_path / "run").iterdir()
    }
    assert not left(cluster)
    labels = {"labelSelector": FLEET_LABEL}
    assert not cluster.call("GET", NAMESPACES, params=labels)["items"]
