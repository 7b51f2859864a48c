"""What queueing theory knows of the simplest fleets: what the simulation is held against, and begins from."""

from __future__ import annotations

import math


def erlang_b(servers: int, offered: float) -> float:
    """Return the share of requests that find all servers taken, where those leave (M/G/N/N).

    Args:
        servers: how many.
        offered: arrivals a second times the mean service time.
    """
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked


def erlang_c(servers: int, offered: float) -> float:
    """Return the share of requests that find all servers taken, where those wait (M/M/N); 1 in overload."""
    if offered >= servers:
        return 1.0
    blocked = erlang_b(servers, offered)
    return servers * blocked / (servers - offered * (1 - blocked))


def mmn_wait_quantile(servers: int, rate_rps: float, service_s: float, q: float) -> float:
    """Return the q-quantile of the wait in M/M/N, in seconds; infinity in overload."""
    offered = rate_rps * service_s
    if offered >= servers:
        return math.inf
    late = erlang_c(servers, offered)
    return 0.0 if late <= 1 - q else math.log(late / (1 - q)) * service_s / (servers - offered)


def mmn_wait_mean(servers: int, rate_rps: float, service_s: float) -> float:
    """Return the mean wait in M/M/N, in seconds; infinity in overload."""
    offered = rate_rps * service_s
    if offered >= servers:
        return math.inf
    return erlang_c(servers, offered) * service_s / (servers - offered)


def mg1_wait_mean(rate_rps: float, service_s: float, service_var: float) -> float:
    """Return the mean wait in M/G/1 by Pollaczek and Khinchine, in seconds; infinity in overload."""
    load = rate_rps * service_s
    return math.inf if load >= 1 else rate_rps * (service_var + service_s**2) / (2 * (1 - load))


def square_root_staffing(offered: float, late: float) -> int:
    """Return the servers for an offered load so that about a share `late` waits: load + beta * sqrt(load).

    Halfin and Whitt (1981): with N = load + beta * sqrt(load), the share that waits tends to
    1 / (1 + beta * Phi(beta) / phi(beta)).
    """
    low, high = 0.0, 10.0
    for _ in range(60):
        beta = (low + high) / 2
        low, high = (beta, high) if _delayed(beta) > late else (low, beta)
    return math.ceil(offered + high * math.sqrt(offered))


def _delayed(beta: float) -> float:
    density = math.exp(-(beta**2) / 2) / math.sqrt(2 * math.pi)
    below = (1 + math.erf(beta / math.sqrt(2))) / 2
    return 1 / (1 + beta * below / density)
