"""Which class routes the requests of a fleet: one a routing, as the balancers that are measured do it."""

from __future__ import annotations

from harness.plan.engine import Router, Simulation
from harness.plan.inside import LeastRequest, Polled, RoundRobin
from harness.plan.offering import Gate, Refusing
from harness.plan.per_session import PerSession
from harness.plan.probed import Probed
from harness.plan.records import Routing


def router_of(sim: Simulation) -> Router:
    """Return what routes the requests of a fleet."""
    match sim.fleet.routing:
        case Routing.BUSY_AWARE:
            return Gate(sim)
        case Routing.BUSY_503:
            return Refusing(sim)
        case Routing.LEAST_REQUEST:
            return LeastRequest(sim)
        case Routing.PING:
            return Polled(sim)
        case Routing.READINESS:
            return Probed(sim)
        case Routing.BLIND:
            return RoundRobin(sim)
        case Routing.SESSION:
            return PerSession(sim)
