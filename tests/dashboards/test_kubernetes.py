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
RUNS = ("agent", "redis", "simulator", "mcp-server")


def resources(folder: Path) -> list[dict[str, Any]]:
    named = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    return [each for name in named for each in yaml.safe_load_all((folder / name).read_text())]


def one(kind: str, name: str) -> dict[str, Any]:
    (found,) = [r for r in resources(FLEET) if r["kind"] == kind and r["metadata"]["name"] == name]
    return found


def workload(name: str) -> dict[str, Any]:
    return one("StatefulSet" if name == "redis" else "Deployment", name)


def container(name: str) -> dict[str, Any]:
    (only,) = workload(name)["spec"]["template"]["spec"]["containers"]
    return only


def literals(generator: str, name: str) -> dict[str, str]:
    (found,) = [each for each in KUSTOMIZATION[generator] if each["name"] == name]
    return dict(literal.split("=", 1) for literal in found["literals"])


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("folder", ["fleet", "locust"])
def test_every_manifest_fits_the_schema_of_the_api(folder: str, version: str) -> None:
    for resource in resources(KUBERNETES / folder):
        kubernetes_validate.validate(resource, version, strict=True)


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
