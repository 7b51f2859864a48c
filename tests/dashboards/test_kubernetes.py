"""The fleet on Kubernetes: the manifests fit the API, each other, and what the agent does."""

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from harness.contract import READYZ
from harness.simulator_config import SimulatorConfig
from reference_agent.settings import Settings
from reference_agent.telemetry.providers import FLUSH_S

KUBERNETES = Path(__file__).parents[2] / "dashboards" / "kubernetes"
FLEET = KUBERNETES / "fleet"
OLDEST, NEWEST = "1.32", "1.37"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FLEET / "kustomization.yaml").read_text())
BOTH = pytest.mark.parametrize("folder", ["fleet", "locust"])
CORES_M = 2000
OF_THE_SYSTEM_M = 1000
"""What a node of two cores has left beside the cluster's own pods, in thousandths of a core: about half."""
RUNS = ("agent", "redis", "simulator", "mcp-server")


def resources(folder: Path) -> list[dict[str, Any]]:
    named = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return [each for name in named for each in yaml.safe_load_all((folder / name).read_text())]


def one(kind: str, name: str) -> dict[str, Any]:
    (found,) = [r for r in resources(FLEET) if r["kind"] == kind and r["metadata"]["name"] == name]
    return found


def workload(name: str) -> dict[str, Any]:
    return one("StatefulSet" if name == "redis" else "Deployment", name)


def pods(folder: Path) -> dict[str, tuple[int, dict[str, Any]]]:
    """How many of each, and what one is."""
    fewest = one("HorizontalPodAutoscaler", "agent")["spec"]["minReplicas"]
    workloads = [each for each in resources(folder) if "template" in each.get("spec", {})]
    return {
        each["metadata"]["name"]: (each["spec"].get("replicas", fewest), each["spec"]["template"]["spec"])
        for each in workloads
    }


def container(name: str) -> dict[str, Any]:
    (only,) = workload(name)["spec"]["template"]["spec"]["containers"]
    return only


def literals(generator: str, name: str) -> dict[str, str]:
    (found,) = [each for each in KUSTOMIZATION[generator] if each["name"] == name]
    return dict(literal.split("=", 1) for literal in found["literals"])


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@BOTH
def test_every_manifest_fits_the_schema_of_the_api(folder: str, version: str) -> None:
    for resource in resources(KUBERNETES / folder):
        kubernetes_validate.validate(resource, version, strict=True)


@BOTH
def test_a_namespace_that_admits_restricted_pods_alone_admits_these(folder: str) -> None:
    for _, pod in pods(KUBERNETES / folder).values():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any("hostPath" in volume for volume in pod.get("volumes", ()))
        for each in pod["containers"]:
            assert each["securityContext"]["allowPrivilegeEscalation"] is False
            assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@BOTH
def test_a_service_changes_no_setting_of_what_runs_beside_it(folder: str) -> None:
    """A Service named `agent` would give each pod an AGENT_PORT, and one named `redis` a REDIS_PORT."""
    for _, pod in pods(KUBERNETES / folder).values():
        assert pod["enableServiceLinks"] is False


def test_a_field_that_the_api_does_not_know_is_found() -> None:
    wrong = one("Deployment", "agent")
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_every_file_of_the_folder_is_used() -> None:
    files = {file for each in KUSTOMIZATION["configMapGenerator"] for file in each.get("files", ())}
    used = {"kustomization.yaml", *KUSTOMIZATION["resources"], *files}
    assert used == {file.name for file in FLEET.iterdir()}


@pytest.mark.parametrize("name", RUNS)
def test_a_service_leads_to_its_pods(name: str) -> None:
    spec = workload(name)["spec"]
    labels = spec["template"]["metadata"]["labels"]
    service = one("Service", name)["spec"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert service["selector"].items() <= labels.items()
    ports = {port["name"]: port["containerPort"] for port in container(name)["ports"]}
    assert [ports[port["targetPort"]] for port in service["ports"]] == [p["port"] for p in service["ports"]]


@pytest.mark.parametrize("name", RUNS)
def test_nothing_runs_as_root_and_memory_is_bounded(name: str) -> None:
    assert workload(name)["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]
    assert container(name)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "memory" in container(name)["resources"]["limits"]


@BOTH
def test_a_folder_can_be_applied_alone(folder: str) -> None:
    told = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text())["namespace"]
    made = [r["metadata"]["name"] for r in resources(KUBERNETES / folder) if r["kind"] == "Namespace"]
    assert made == [told]


def test_what_is_deleted_with_one_folder_is_not_the_others() -> None:
    names = [
        {(r["kind"], r["metadata"]["name"]) for r in resources(KUBERNETES / f)} for f in ("fleet", "locust")
    ]
    assert not names[0] & names[1]


def test_fleet_and_load_fit_two_cores_beside_the_clusters_own_pods() -> None:
    asked = 0
    for folder in ("fleet", "locust"):
        for name, (count, pod) in pods(KUBERNETES / folder).items():
            surge = 1 if name == "agent" else 0  # while it is rolled out
            asked += (count + surge) * sum(
                int(each["resources"]["requests"]["cpu"].removesuffix("m")) for each in pod["containers"]
            )
    assert asked == 950, "docs/dashboards.md names it"
    assert asked <= CORES_M - OF_THE_SYSTEM_M


def test_where_room_is_short_the_store_has_it_before_an_agent_more_and_an_agent_before_the_load() -> None:
    value = {None: 0}
    value |= {
        each["metadata"]["name"]: each["value"]
        for folder in ("fleet", "locust")
        for each in resources(KUBERNETES / folder)
        if each["kind"] == "PriorityClass"
    }
    fleet, load = pods(FLEET), pods(KUBERNETES / "locust")
    priority = {name: value[pod.get("priorityClassName")] for name, (_, pod) in (fleet | load).items()}
    assert all(priority[name] < priority["agent"] for name in load)
    assert all(priority["agent"] < priority[name] for name in fleet if name != "agent")


def test_the_store_is_asked_from_beyond_loopback_and_a_refusal_is_no_answer() -> None:
    program, *words = container("redis")["readinessProbe"]["exec"]["command"]
    assert program == "valkey-cli"
    assert "-e" in words, "without it the exit status of an error is 0"
    (first,) = [
        f"{workload('redis')['metadata']['name']}-{n}" for n in range(workload("redis")["spec"]["replicas"])
    ]
    assert words[words.index("-h") + 1] == first, "by loopback a protected one lets everybody in"


def test_an_image_has_a_version() -> None:
    pinned = {image["name"] for image in KUSTOMIZATION["images"] if image["newTag"]}
    images = {container(name)["image"] for name in RUNS}
    assert {image for image in images if not re.search(r":\d+\.\d+\.\d+", image)} == pinned


def test_readiness_is_the_busy_signal_at_the_shortest_interval_there_is() -> None:
    probe = container("agent")["readinessProbe"]
    assert probe["httpGet"]["path"] == READYZ
    assert (probe["periodSeconds"], probe["failureThreshold"], probe["successThreshold"]) == (1, 1, 1)


def test_a_busy_container_is_never_restarted_for_it() -> None:
    assert container("agent")["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container("agent")["startupProbe"]["httpGet"]["path"] == "/livez"


def test_a_container_that_leaves_has_the_time_for_what_it_works_on() -> None:
    leaving_s = container("agent")["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain_s = float(literals("configMapGenerator", "agent")["AGENT_DRAIN_S"])
    grace_s = workload("agent")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace_s > leaving_s + drain_s + FLUSH_S


def test_the_scaler_alone_decides_how_many_there_are() -> None:
    assert "replicas" not in workload("agent")["spec"]


def test_it_scales_on_requests_in_work_below_the_limit_of_a_container() -> None:
    scaler = one("HorizontalPodAutoscaler", "agent")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "agent"}
    (metric,) = scaler["metrics"]
    assert metric["pods"]["metric"]["name"] == "agentrig_inflight"
    limit = int(literals("configMapGenerator", "agent")["AGENT_CONCURRENCY_LIMIT"])
    assert 0 < float(metric["pods"]["target"]["averageValue"]) < limit


def test_the_agents_are_told_what_they_understand_and_where_the_others_are() -> None:
    told = literals("configMapGenerator", "agent")
    assert {name.lower() for name in told if not name.startswith("OTEL_")} <= set(Settings.model_fields)
    for name, host in (("OPENAI_BASE_URL", "simulator"), ("MCP_SERVER_URL", "mcp-server")):
        (port,) = one("Service", host)["spec"]["ports"]
        assert f"//{host}:{port['port']}/" in told[name]
    assert told["AGENT_SESSION_STORE"].startswith("redis://redis:6379/")


def test_secrets_that_are_asked_for_are_there() -> None:
    asked = {
        entry["valueFrom"]["secretKeyRef"]["key"]
        for name in RUNS
        for entry in container(name).get("env", ())
        if "secretKeyRef" in entry.get("valueFrom", {})
    }
    assert asked == set(literals("secretGenerator", "keys"))


def test_prometheus_is_told_where_to_scrape() -> None:
    for name in ("agent", "simulator"):
        told = workload(name)["spec"]["template"]["metadata"]["annotations"]
        (port,) = container(name)["ports"]
        assert (told["prometheus.io/scrape"], told["prometheus.io/port"]) == (
            "true",
            str(port["containerPort"]),
        )


def test_the_simulator_takes_its_configuration() -> None:
    SimulatorConfig.model_validate(json.loads((FLEET / "simulator.json").read_text()))
