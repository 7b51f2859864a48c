"""How far the clock of each process is from the caller's, at the least, by what must have come before what.

What is sent is received later, and what is asked is answered later. Where the times of two processes say
otherwise, their clocks differ, and by how much at the least follows from the pair that says it most clearly.
A clock that is ahead or behind by less than a message takes is not seen, and does no harm.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from harness import contract
from harness.records.history import ROUTING_DELAY_S, JoinedRequest

OUTLIERS: Final = 0.001
"""Share of the pairs that is left out at the end which decides: one wrong time makes no clock wrong."""


@dataclass
class Bounds:
    """What the clock of a process is ahead of the caller's, in seconds, by each pair of instants.

    Attributes:
        least: at the least, as the process did something before another could.
        most: at the most, as it did something after another had.
        ends: at the least, if it ended a thing no later than another noted that. A little later it may, and
            much later where work goes on after an answer.
    """

    least: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def offset_s(self) -> float:
        """Return the offset nearest to 0 that is possible, 0 where that is as good as none."""
        most = -_largest([-value for value in self.most])
        possible = [value for value in self.ends if value <= most]
        least = max(_largest(self.least), median(possible) if possible else -float("inf"))
        offset_s = least if least > 0 else min(most, 0.0)
        return offset_s if abs(offset_s) > ROUTING_DELAY_S else 0.0


def clock_offsets(requests: Sequence[JoinedRequest]) -> dict[str, float]:
    """Return by how many seconds the clock of each process is ahead of the caller's, at the least.

    Args:
        requests: joined.

    Returns:
        By container, for the balancer, and for the model API; negative for one that is behind. Left out are
        those that may well agree with the caller's, to within the routing delay.
    """
    model, balancer = Bounds(), Bounds()
    for request in requests:
        for span in request.spans:
            if span.service == contract.SERVICE_ENVOY and span.kind == "server":
                balancer.most.append(span.start_ns / 1e9 - request.row.sent_s)
                if request.row.ok:
                    balancer.ends.append(span.end_ns / 1e9 - request.row.end_s)
        if request.journal:
            model.most.append(request.journal[0].time_s - request.row.sent_s)
            if request.row.ok:
                model.ends.append(max(row.end_s for row in request.journal) - request.row.end_s)
    model_s = model.offset_s()
    found = {contract.SERVICE_SIMULATOR: model_s, contract.SERVICE_ENVOY: balancer.offset_s()}
    for name, bounds in _of_agents(requests, by_calls=not model_s).items():
        found[name] = bounds.offset_s()
    return {name: offset_s for name, offset_s in found.items() if offset_s}


def _of_agents(requests: Iterable[JoinedRequest], *, by_calls: bool) -> dict[str, Bounds]:
    """Return what is known of each container's clock.

    Args:
        requests: joined.
        by_calls: whether the model API's clock is the caller's: then what it received tells, too.
    """
    of_each: defaultdict[str, Bounds] = defaultdict(Bounds)
    for request in requests:
        server = request.server
        if server is None or request.container is None:
            continue
        bounds = of_each[request.container]
        bounds.most.append(server.start_ns / 1e9 - request.row.sent_s)
        bounds.ends.append(server.end_ns / 1e9 - request.row.end_s)
        attempts = {span.span_id: span for span in request.attempts} if by_calls else {}
        for row in request.journal:
            if (attempt := attempts.get(row.parent_span_id or "")) is not None:
                bounds.least.append(attempt.start_ns / 1e9 - row.time_s)
    return of_each


def _largest(values: Sequence[float]) -> float:
    """Return the largest value but for the outliers; minus infinity where there is none."""
    ranked = sorted(values, reverse=True)
    return ranked[int(OUTLIERS * len(ranked))] if ranked else -float("inf")
