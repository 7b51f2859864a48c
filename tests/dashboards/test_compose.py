import http.client
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.envoy.__main__ import AGENTS, FILE, PLAN, TRACES, text
from harness.contract import READYZ

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
GRAFANA = ROOT / "dashboards" / "grafana" / "provisioning"
PAGE = (ROOT / "docs" / "dashboards.md").read_text("utf-8")
MIB_OF_A_LAPTOP = 4096
PORT = re.compile(r"127\.0\.0\.1:\$\{(AGENTRIG_[A-Z]+_PORT):-(\d+)\}:(\d+)")
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
def test_nothing_is_swapped_out_where_that_would_hide_a_limit_that_is_too_low(name: str) -> None:
    assert SERVICES[name]["memswap_limit"] == SERVICES[name]["mem_limit"]


@EACH
def test_a_log_has_an_end(name: str) -> None:
    assert {"max-size", "max-file"} <= set(SERVICES[name]["logging"]["options"])


@EACH
def test_what_is_published_listens_on_loopback_alone_at_a_port_that_can_be_another(name: str) -> None:
    for port in SERVICES[name].get("ports", ()):
        assert (found := PORT.fullmatch(port)), port
        assert found[2] == found[3], "the usual one is that of the container"


def test_a_port_of_the_host_has_a_variable_of_its_own_and_the_page_names_it() -> None:
    found = [PORT.fullmatch(port) for each in SERVICES.values() for port in each.get("ports", ())]
    usual = {each[1]: each[2] for each in found if each}
    assert len(usual) == len(found)
    rows = dict(re.findall(r"`(AGENTRIG_[A-Z]+_PORT)` \| (\d+) \|", PAGE))
    assert rows == usual


def test_whoever_links_to_a_port_of_the_host_follows_it() -> None:
    told = [line for line in (ROOT / "compose.yaml").read_text("utf-8").splitlines() if line[:1] != "#"]
    assert [line for line in told if re.search(r"localhost:\d", line)] == []
    for file in GRAFANA.glob("*/*.yml"):
        text = file.read_text("utf-8")
        assert "localhost" not in text
        asked = set(re.findall(r"(?<!\$)\$\{?(\w+)", re.sub(r"#.*", "", text)))
        assert asked <= set(SERVICES["grafana"]["environment"]), file


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


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (None, None),
        ("busy", None),
        ("starting", "starting"),
        ("the session store can't be reached", "the session store can't be reached"),
    ],
)
def test_an_agent_is_healthy_while_it_takes_requests_or_has_all_it_can_take(
    monkeypatch: pytest.MonkeyPatch, reason: str | None, told: str | None
) -> None:
    class Readyz:
        def __init__(self, host: str, port: int, timeout: float) -> None:
            assert str(port) == SERVICES["agent-1"]["environment"]["PORT"]
            assert timeout < float(SERVICES["agent-1"]["healthcheck"]["timeout"].removesuffix("s"))

        def request(self, method: str, path: str) -> None:
            assert (method, path) == ("GET", READYZ)

        def getresponse(self) -> io.StringIO:
            return io.StringIO(json.dumps({"status": "...", "reason": reason}))

    monkeypatch.setattr(http.client, "HTTPConnection", Readyz)
    *_, code = SERVICES["agent-1"]["healthcheck"]["test"]
    with pytest.raises(SystemExit) as ended:
        exec(code, {})  # noqa: S102 - it is the file's own
    assert ended.value.code == told


def test_the_store_is_asked_as_the_agents_ask_it_and_a_refusal_is_no_answer() -> None:
    program, *words = SERVICES["redis"]["healthcheck"]["test"][1:]
    assert program == "valkey-cli"
    assert words[words.index("-h") + 1] == "redis", "by loopback a protected one lets everybody in"
    assert "-e" in words, "without it the exit status of an error is 0"
    assert f"//{words[words.index('-h') + 1]}:" in SERVICES["agent-1"]["environment"]["AGENT_SESSION_STORE"]


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
