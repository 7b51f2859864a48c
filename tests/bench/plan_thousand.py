"""What a routing costs in containers where there are a thousand: a table of Markdown.

900 requests a second that take a second each (lognormal, p99 4.7 s): the fewest containers for a p99 of 4.8
s by simulation, beside the rule of square-root staffing.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from harness.plan.estimate import Draws, estimate, of_size
from harness.plan.records import Fleet, ModelApi, RetryRule, Routing
from harness.plan.search import least_containers
from harness.plan.simulate import by_events
from harness.plan.theory import erlang_c, square_root_staffing
from harness.records.workload import Arrivals, Duration, Service, Workload

RATE_RPS, P99_S, LATE = 900.0, 4.8, 0.1
SERVICE = Service(rest=Duration(median_s=0.7262, p99_s=4.669))
WORKLOAD = Workload(arrivals=Arrivals(rate_rps=RATE_RPS), service=SERVICE)
FLEETS = {
    "one gate": Fleet(containers=1),
    "two gates, blind to each other": Fleet(containers=1, balancers=2),
    "least request, one balancer": Fleet(containers=1, routing=Routing.LEAST_REQUEST),
    "least request, two blind balancers": Fleet(containers=1, routing=Routing.LEAST_REQUEST, balancers=2),
    "/ping at 50 ms": Fleet(containers=1, routing=Routing.PING, ping_s=0.05),
    "/ping at 1 s": Fleet(containers=1, routing=Routing.PING, ping_s=1.0),
    "round robin": Fleet(containers=1, routing=Routing.BLIND),
}
SEEDS = (1, 2)


def fewest(draws: Draws, fleet: Fleet, most: int) -> tuple[int, float]:
    """Return the fewest containers that hold the p99, and it."""

    def p99_s(containers: int) -> float:
        return estimate(draws, of_size(fleet, containers), RATE_RPS, SEEDS).p99.mean

    low, high = least_containers(WORKLOAD, RATE_RPS, fleet), most
    found = p99_s(high)
    while low < high:
        middle = (low + high) // 2
        if (at := p99_s(middle)) <= P99_S:
            high, found = middle, at
        else:
            low = middle + 1
    return high, found


def main() -> None:
    """Print the rule, and a row per routing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=60_000)
    asked = parser.parse_args()
    draws = Draws(WORKLOAD, asked.requests)
    offered = RATE_RPS * SERVICE.mean_s
    servers = square_root_staffing(offered, LATE)
    # the rule is of exponential service
    rng = np.random.default_rng(1)
    plain = replace(
        draws.work(RATE_RPS, 1), call_s=rng.exponential(SERVICE.mean_s, len(draws.work(RATE_RPS, 1)))
    )
    outcome = by_events(plain, Fleet(containers=servers), ModelApi(), RetryRule(), 1)
    late = float((outcome.wait_s[len(plain) // 4 :] > 1e-9).mean())
    print(f"square-root staffing for {LATE:.0%} that wait: {servers} containers for {offered:.1f} in use;")
    print(f"Erlang C says {erlang_c(servers, offered):.1%} wait there, the simulation {late:.1%}\n")
    print(f"| routing | containers for p99 {P99_S:g} s | more than one gate |\n|---|---|---|")
    least = 0
    for name, fleet in FLEETS.items():
        containers, p99_s = fewest(draws, fleet, 4000)
        least = least or containers
        held = (
            f"{containers} (p99 {p99_s:.2f} s)"
            if p99_s <= P99_S
            else f"not with {containers} ({p99_s:.2f} s)"
        )
        print(f"| {name} | {held} | {containers - least:+d} |", flush=True)


if __name__ == "__main__":
    main()
