"""Which class routes the requests of a fleet: one a routing, as the balancers that are measured do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from harness.plan.engine import Router, Simulation
from harness.plan.inside import LeastRequest, Polled, RoundRobin
from harness.plan.offering import Gate, Refusing
from harness.plan.per_session import PerSession
from harness.plan.probed import Probed
from harness.plan.records import Routing

ROUTERS: Final[Mapping[Routing, Callable[[Simulation], Router]]] = {
    Routing.BUSY_AWARE: Gate,
    Routing.BUSY_503: Refusing,
    Routing.LEAST_REQUEST: LeastRequest,
    Routing.READINESS: Probed,
    Routing.PING: Polled,
    Routing.BLIND: RoundRobin,
    Routing.SESSION: PerSession,
}


def router_of(sim: Simulation) -> Router:
    """Return what routes the requests of a fleet."""
    return ROUTERS[sim.fleet.routing](sim)
