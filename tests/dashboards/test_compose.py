import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.envoy.__main__ import AGENTS, FILE, PLAN, TRACES, text

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
MIB_OF_A_LAPTOP = 4096
EACH = pytest.mark.parametrize("name", SERVICES)


def mounts(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [tuple(volume.split(":")) for volume in service.get("volumes", ())]


def test_the_whole_rig_is_there() -> None:
    assert set(SERVICES) == {
        *("agent-1", "agent-2", "agent-3", "agent-4", "envoy", "simulator", "mcp-server", "locust"),
        *("redis", "jaeger", "prometheus", "grafana"),
    }


@EACH
def test_a_service_says_when_it_is_healthy(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries"} <= set(check)


@EACH
def test_a_service_has_a_pinned_version_or_is_built_from_here(name: str) -> None:
    service = SERVICES[name]
    if build := service.get("build"):
        told = {"context": build} if isinstance(build, str) else build
        assert (ROOT / told["context"] / told.get("dockerfile", "Dockerfile")).is_file()
    else:
        assert re.search(r":v?\d+\.\d+\.\d+", service["image"]), service["image"]


def test_all_together_fit_a_small_laptop() -> None:
    limits = [service["mem_limit"] for service in SERVICES.values()]
    assert all(limit.endswith("m") for limit in limits)
    assert sum(int(limit[:-1]) for limit in limits) <= MIB_OF_A_LAPTOP


@EACH
def test_what_is_published_listens_on_loopback_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@EACH
def test_what_is_mounted_exists_and_is_read_only(name: str) -> None:
    for source, _, mode in mounts(SERVICES[name]):
        assert (ROOT / source).exists(), source
        assert mode == "ro"


def test_a_service_waits_for_those_it_needs() -> None:
    needed = {(name, other) for name, service in SERVICES.items() for other in service.get("depends_on", ())}
    assert {other for _, other in needed} <= set(SERVICES)
    assert {("agent-1", "redis"), ("envoy", "agent-4"), ("locust", "envoy")} <= needed


def test_an_agent_gets_the_time_to_finish_what_it_works_on() -> None:
    for number in range(1, 5):
        agent = SERVICES[f"agent-{number}"]
        assert int(agent["stop_grace_period"].removesuffix("s")) > int(agent["environment"]["AGENT_DRAIN_S"])


def test_envoys_configuration_is_that_of_the_fleet() -> None:
    assert FILE.read_text() == text(), "run `python -m dashboards.envoy`"


def test_envoy_and_the_agents_agree_on_names_ports_and_slots() -> None:
    assert {name for name, _ in AGENTS} == {name for name in SERVICES if name.startswith("agent-")}
    for name, port in AGENTS:
        environment = SERVICES[name]["environment"]
        assert environment["PORT"] == str(port)
        assert environment["AGENT_CONCURRENCY_LIMIT"] == str(PLAN.concurrency_limit)
        assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://{TRACES[0]}:{TRACES[1]}"


def test_prometheus_asks_services_that_are_there_on_ports_they_listen_on() -> None:
    config = yaml.safe_load((ROOT / "dashboards" / "prometheus" / "prometheus.yml").read_text())
    targets = [t for job in config["scrape_configs"] for s in job["static_configs"] for t in s["targets"]]
    ports = {
        "agent": "8080",
        "simulator": "8081",
        "envoy": str(PLAN.stats_port),
        "locust": "8089",
        "jaeger": "8889",
    }
    asked = {target.rpartition(":")[0] for target in targets}
    assert asked == {name for name in SERVICES if name.partition("-")[0] in ports}
    assert all(
        port == ports[name.partition("-")[0]] for name, _, port in (t.rpartition(":") for t in targets)
    )


def test_the_load_may_tell_the_simulator_what_to_do() -> None:
    token = SERVICES["simulator"]["environment"]["AGENTRIG_SIMULATOR_TOKEN"]
    assert SERVICES["locust"]["environment"]["AGENTRIG_SIMULATOR_TOKEN"] == token
