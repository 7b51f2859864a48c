"""Where Envoy sends requests to: the containers, the admission queue before them, and the capture."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.contract import HEALTHY, PING, READYZ
from harness.fleet.envoy_parts import (
    ADMIN,
    AGENTS,
    CAPTURE,
    NEVER,
    QUEUE,
    SLOTS,
    TYPES,
    Json,
    socket_address,
    typed,
    unix_socket,
)
from harness.records.spec import Policy

UNBOUNDED: Final = 1_000_000
"""For the circuit breakers that are not meant to break (their defaults are 1024 and 3), and for tries."""
UPSTREAM_IDLE: Final = "3s"
"""Shorter than the keep-alive of any common server (uvicorn: 5 s): else the one that closes
first is the agent, now and then under a request."""
PING_INTERVAL: Final = "0.050s"
LIVENESS_INTERVAL: Final = "0.500s"
PROBE_INTERVAL: Final = "1s"
"""The quickest that the kubelet asks."""
PANIC_PERCENT: Final = 1
"""Less than 1 of 32, so that busy containers are used only once all are; Envoy rounds it to a whole."""


def agents_cluster(policy: Policy, endpoints: Path, ready: str = READYZ, chosen: Json | None = None) -> Json:
    """Return the containers as `policy` picks among them; the file `endpoints` lists them.

    Args:
        policy: see there.
        endpoints: see there.
        ready: the path at which a container says that it is ready.
        chosen: what picks one in place of what `policy` has for that.
    """
    source = {
        "path": str(endpoints.absolute()),
        "watched_directory": {"path": str(endpoints.parent.absolute())},
    }
    panic = PANIC_PERCENT if policy is Policy.PING else 0
    return {
        "name": AGENTS,
        "type": "EDS",
        "connect_timeout": "1s",
        "eds_cluster_config": {"eds_config": {"path_config_source": source, "resource_api_version": "V3"}},
        "load_balancing_policy": {"policies": [{"typed_extension_config": chosen or picks(policy)}]},
        "common_lb_config": {"healthy_panic_threshold": {"value": panic}, "update_merge_window": "0s"},
        "ignore_health_on_host_removal": True,
        "track_cluster_stats": {"per_endpoint_stats": True},
        "circuit_breakers": _breakers(max_connections=UNBOUNDED, max_pending=UNBOUNDED),
        "health_checks": [_health_check(policy, ready)],
        "typed_extension_protocol_options": _http1(idle=UPSTREAM_IDLE),
    }


def picks(policy: Policy) -> Json:
    """Return the extension of Envoy's load balancing that picks a container."""
    if policy is Policy.READINESS:
        return typed(
            "envoy.load_balancing_policies.random", "extensions.load_balancing_policies.random.v3.Random"
        )
    if policy in {Policy.BLIND, Policy.PING}:
        return typed(
            "envoy.load_balancing_policies.round_robin",
            "extensions.load_balancing_policies.round_robin.v3.RoundRobin",
        )
    return typed(
        "envoy.load_balancing_policies.least_request",
        "extensions.load_balancing_policies.least_request.v3.LeastRequest",
        {"selection_method": "FULL_SCAN"},
    )


def _health_check(policy: Policy, ready: str) -> Json:
    """Return how Envoy learns of a container's health; every interval is set, for one defaults to 60 s."""
    # the closing quote tells "Healthy" from "HealthyBusy"
    healthy = f'"{HEALTHY}"'.encode().hex()
    asked: dict[Policy, tuple[str, Json]] = {
        Policy.PING: (PING_INTERVAL, {"http_health_check": {"path": PING, "receive": [{"text": healthy}]}}),
        Policy.READINESS: (PROBE_INTERVAL, {"http_health_check": {"path": ready}}),
    }
    interval, kind = asked.get(policy, (LIVENESS_INTERVAL, {"tcp_health_check": {}}))
    return {
        # A connection that is lost is noticed at once. This is for a machine that stands still for a moment,
        # after which all containers would be taken for dead.
        "timeout": "3s" if interval == LIVENESS_INTERVAL else "1s",
        "interval": interval,
        "no_traffic_interval": interval,
        "no_traffic_healthy_interval": interval,
        "unhealthy_interval": interval,
        "unhealthy_edge_interval": interval,
        "healthy_edge_interval": interval,
        "unhealthy_threshold": 1,
        "healthy_threshold": 1,
        **kind,
    }


def admission_queue_cluster(*, places: int, queue_limit: int) -> Json:
    """Return the admission queue: `places` requests may be past it, and `queue_limit` may wait before it."""
    inside = {"address": {"envoy_internal_address": {"server_listener_name": SLOTS}}}
    return {
        "name": QUEUE,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": QUEUE,
            "endpoints": [{"lb_endpoints": [{"endpoint": inside}]}],
        },
        # a request that opens a connection counts as pending for that instant: 0 would refuse every one
        "circuit_breakers": _breakers(max_connections=places, max_pending=max(1, queue_limit)),
        "typed_extension_protocol_options": _http1(idle=NEVER),
    }


def capture_cluster(port: int, host: str) -> Json:
    """Return the capture, which gets the spans."""
    endpoint = {"endpoint": {"address": socket_address(port, host)}}
    return {
        "name": CAPTURE,
        "type": "STATIC",
        "load_assignment": {"cluster_name": CAPTURE, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": _http1(idle="30s"),
    }


def admin_cluster(socket: Path) -> Json:
    """Return the balancer's own control."""
    return {
        "name": ADMIN,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": ADMIN,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": unix_socket(socket)}}]}],
        },
    }


def _breakers(*, max_connections: int, max_pending: int) -> Json:
    threshold = {
        "max_connections": max_connections,
        "max_pending_requests": max_pending,
        "max_requests": UNBOUNDED,
        "max_retries": UNBOUNDED,
    }
    return {"thresholds": [threshold]}


def _http1(*, idle: str) -> Json:
    options = {
        "@type": f"{TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": idle},
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}
