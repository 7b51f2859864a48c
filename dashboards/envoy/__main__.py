"""`python -m dashboards.envoy`: write the fleet's own balancer as compose.yaml needs it.

The policy is that of `harness/fleet/envoy.py`, admission queue included. What differs is where things are:
names that Docker resolves in place of loopback ports.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.fleet.envoy import BalancerPlan, bootstrap
from harness.records.spec import Policy

FILE = Path(__file__).with_name("envoy.json")
Address = tuple[str, int]
AGENTS: tuple[Address, ...] = tuple((f"agent-{number}", 8080) for number in (1, 2, 3, 4))
TRACES: Address = ("jaeger", 4318)
PLAN = BalancerPlan(
    policy=Policy.BUSY_AWARE,
    port=8080,
    admin=Path("/tmp/envoy.sock"),  # noqa: S108 - of a container that has one user
    stats_port=9901,
    capture_port=TRACES[1],
    agents=len(AGENTS),
    concurrency_limit=8,
    queue_limit=1000,
    endpoints=Path("/unused"),
    access_log=Path("/dev/stdout"),
)


def config(
    agents: tuple[Address, ...] = AGENTS, traces: Address = TRACES, plan: BalancerPlan = PLAN
) -> dict[str, Any]:
    """Return the whole configuration file.

    Args:
        agents: name and port of each container.
        traces: name and port of the OTLP/HTTP receiver.
        plan: what the balancer is told otherwise.
    """
    made = bootstrap(plan)
    resources = made["static_resources"]
    clusters = {cluster["name"]: cluster for cluster in resources["clusters"]}
    _resolve(clusters["agents"], agents)
    _resolve(clusters["capture"], (traces,))
    for listener in resources["listeners"]:
        if "address" in listener:
            listener["address"] = _address("0.0.0.0", listener["address"]["socket_address"]["port_value"])
        _send_spans_to(traces, listener)
    return made


def _resolve(cluster: dict[str, Any], addresses: tuple[Address, ...]) -> None:
    """Let a cluster look its members up by name."""
    cluster.pop("eds_cluster_config", None)
    listed = [{"endpoint": {"address": _address(host, port)}} for host, port in addresses]
    cluster["type"] = "STRICT_DNS"
    cluster["dns_lookup_family"] = "V4_ONLY"
    cluster["load_assignment"] = {
        "cluster_name": cluster["name"],
        "endpoints": [{"lb_endpoints": listed}],
    }


def _send_spans_to(traces: Address, listener: dict[str, Any]) -> None:
    for chain in listener["filter_chains"]:
        for part in chain["filters"]:
            if "tracing" not in part["typed_config"]:
                continue
            tracer = part["typed_config"]["tracing"]["provider"]["typed_config"]
            tracer["http_service"]["http_uri"]["uri"] = f"http://{traces[0]}:{traces[1]}/v1/traces"


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def text() -> str:
    """Return what is written."""
    return json.dumps(config(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
