"""Locust on Kubernetes: the manifests name what there is."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

LOCUST = find_spec("locust")
FOLDER = Path(__file__).parents[2] / "dashboards" / "kubernetes" / "locust"


def manifests() -> list[dict[str, Any]]:
    resources = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))["resources"]
    return [each for name in resources for each in yaml.safe_load_all((FOLDER / name).read_text("utf-8"))]


def deployment(name: str) -> dict[str, Any]:
    return next(m for m in manifests() if m["kind"] == "Deployment" and m["metadata"]["name"] == name)


def container(name: str) -> dict[str, Any]:
    (only,) = deployment(name)["spec"]["template"]["spec"]["containers"]
    return only


def test_every_file_of_the_folder_is_a_resource() -> None:
    listed = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert {*listed, "kustomization.yaml"} == {file.name for file in FOLDER.iterdir()}


@pytest.mark.parametrize("name", ["locust-master", "locust-worker"])
def test_selectors_find_their_pods(name: str) -> None:
    spec = deployment(name)["spec"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_the_service_leads_to_the_masters_ports() -> None:
    service = next(m for m in manifests() if m["kind"] == "Service")
    pod = deployment("locust-master")["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    ports = {port["name"]: port["containerPort"] for port in container("locust-master")["ports"]}
    assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == ports


def test_workers_look_for_the_master_by_the_services_name() -> None:
    service = next(m for m in manifests() if m["kind"] == "Service")
    command = container("locust-worker")["command"]
    assert command[command.index("--master-host") + 1] == service["metadata"]["name"]


@pytest.mark.parametrize("name", ["locust-master", "locust-worker"])
def test_locust_knows_every_option_of_the_command(name: str) -> None:
    program, *arguments = container(name)["command"]
    assert program == "locust"
    assert LOCUST is not None
    assert LOCUST.origin is not None
    # Read, not imported: importing Locust patches the process.
    known = Path(LOCUST.origin).with_name("argument_parser.py").read_text("utf-8")
    assert [word for word in arguments if word.startswith("-") and f'"{word}"' not in known] == []


@pytest.mark.parametrize("name", ["locust-master", "locust-worker"])
def test_nothing_runs_as_root_and_memory_is_bounded(name: str) -> None:
    pod = deployment(name)["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container(name)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "memory" in container(name)["resources"]["limits"]


def told(generator: str, name: str) -> dict[str, str]:
    """What a kustomization generates, of both folders' files."""
    folder = FOLDER.parent / "fleet" if name == "keys" else FOLDER
    made = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))[generator]
    (found,) = [each for each in made if each["name"] == name]
    return dict(literal.split("=", 1) for literal in found["literals"])


def test_the_fleet_beside_it_is_what_it_asks_and_whose_simulator_it_may_tell_what_to_do() -> None:
    fleet = FOLDER.parent / "fleet"
    services = {
        (each["metadata"]["name"], str(each["spec"]["ports"][0]["port"]))
        for name in ("agent.yaml", "simulator.yaml")
        for each in yaml.safe_load_all((fleet / name).read_text("utf-8"))
        if each["kind"] == "Service"
    }
    namespace = yaml.safe_load((fleet / "kustomization.yaml").read_text("utf-8"))["namespace"]
    for url in told("configMapGenerator", "locust").values():
        host, _, port = url.removeprefix("http://").partition(":")
        name, _, rest = host.partition(".")
        assert (name, port) in services
        assert rest == f"{namespace}.svc", "in whichever namespace Locust is"
    assert {"secretRef": {"name": "simulator"}} in container("locust-master")["envFrom"]
    token = told("secretGenerator", "simulator")["AGENTRIG_SIMULATOR_TOKEN"]
    assert token == told("secretGenerator", "keys")["SIMULATOR_TOKEN"]


def test_a_plan_has_one_master() -> None:
    assert deployment("locust-master")["spec"]["replicas"] == 1
