"""How far from the central queue chance alone takes the gate when work goes on after the answer.

    python -m tests.proof.after_answer --draws 3000

Simulates the `busy-aware` arm of `busy-after-answer`, with other arrivals and service times in each draw.
The gate counts an answered request as gone, so it lets in another, although its slot is not free; the
container refuses that one, and it asks again every few milliseconds. Whoever asks first after a slot has
become free gets it, also one that came later. Nothing else separates this from the central queue.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

from rich.console import Console

from harness.analysis.queueing import ALWAYS, central_waits
from harness.experiment.load import load
from harness.load.arrivals import plan
from harness.quantiles import quantile
from harness.records.spec import AGENT_OVERHEAD_S, ExperimentSpec
from harness.run.pipeline import known
from harness.simulator_config import Distribution, Latency

NAME, ARM = "busy-after-answer", "busy-aware"
BACKOFF_S, LONGEST_BACKOFF_S = 0.005, 0.020
"""Of the gate's retries, as in `harness/fleet/envoy.py`; full jitter."""
OFFER_S = 0.002
"""What it takes to be refused, about."""
LEAST_DRAWS = 100
SHOWN = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """When it is due, how long until its answer, and how long its slot is held after that."""

    due_s: float
    answer_s: float
    after_s: float


class Kind(IntEnum):
    """What happens next; of things at the same instant, in this order."""

    FREED = 0
    ANSWERED = 1
    DUE = 2
    AGAIN = 3


def main() -> None:
    """Draw, and print how the ratios are spread."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    if draws < LEAST_DRAWS:
        parser.error(f"--draws: a 99th percentile takes at least {LEAST_DRAWS}")
    out = Console(highlight=False)
    spec = load(NAME, known())
    ratios = sorted(ratio(spec, seed) for seed in range(draws))
    out.print(f"{draws} draws of {NAME}: p99 of the gate / p99 of one central queue")
    for share in SHOWN:
        out.print(f"  {share:4.0%} are at most {quantile(ratios, share):.3f}")
    for check in spec.checks:
        if check.id == "p99-over-optimum" and check.limit is not None:
            over = sum(each > check.limit for each in ratios) / draws
            out.print(f"  {over:.2%} are over the limit of {check.limit}")


def ratio(spec: ExperimentSpec, seed: int) -> float:
    """Return p99 of the gate over p99 of the central queue, on the same draws."""
    requests = drawn(spec, seed)
    fleet = spec.fleet_of(ARM)
    slots = fleet.agents * fleet.concurrency_limit
    waits_s = central_waits(
        [r.due_s for r in requests], [r.answer_s + r.after_s for r in requests], [ALWAYS] * slots
    )
    best = quantile([wait_s + each.answer_s for wait_s, each in zip(waits_s, requests, strict=True)], 0.99)
    gated = quantile(latencies_s(requests, slots, random.Random(seed)), 0.99)
    assert best is not None  # the experiment asks for more than 100 requests
    assert gated is not None
    return gated / best


def drawn(spec: ExperimentSpec, seed: int) -> list[Request]:
    """Draw arrivals as a run does, and service times from the same distributions."""
    chance = random.Random(f"{seed} service")
    latency, share = spec.simulator.latency, float(spec.fleet.env["AGENT_AFTER_ANSWER_SHARE"])

    def work_s(calls: int) -> float:
        return AGENT_OVERHEAD_S + sum(call_s(latency, chance) for _ in range(calls))

    return [
        Request(
            due_s=arrival.due_s,
            answer_s=work_s(1 + spec.simulator.tool_turns),
            after_s=work_s(1) if chance.random() < share else 0.0,
        )
        for arrival in plan(spec.load_of(ARM), seed, NAME)
    ]


def call_s(latency: Latency, chance: random.Random) -> float:
    """Draw how long a model call takes."""
    return duration_s(latency.ttft, chance) + (latency.tokens - 1) * duration_s(latency.itl, chance)


def duration_s(distribution: Distribution, chance: random.Random) -> float:
    """Draw a duration."""
    return distribution.median_s * math.exp(distribution.sigma * chance.gauss())


def latencies_s(requests: list[Request], slots: int, chance: random.Random) -> list[float]:
    """Return how long each request takes behind a gate with as many places as there are slots."""
    free, places = slots, slots
    waiting: deque[int] = deque()
    refusals = [0] * len(requests)
    took_s = [0.0] * len(requests)
    ahead = [(request.due_s, Kind.DUE, number) for number, request in enumerate(requests)]
    heapq.heapify(ahead)
    while ahead:
        now_s, kind, number = heapq.heappop(ahead)
        asks: int | None = None
        if kind is Kind.FREED:
            free += 1
        elif kind is Kind.AGAIN:
            asks = number
        elif kind is Kind.DUE:
            waiting.append(number)
        else:
            took_s[number] = now_s - requests[number].due_s
            places += 1
        if asks is None and waiting and places:
            asks = waiting.popleft()
            places -= 1
        if asks is None:
            continue
        if free:
            free -= 1
            answered_s = now_s + requests[asks].answer_s
            heapq.heappush(ahead, (answered_s, Kind.ANSWERED, asks))
            heapq.heappush(ahead, (answered_s + requests[asks].after_s, Kind.FREED, asks))
        else:
            refusals[asks] += 1
            longest_s = min(LONGEST_BACKOFF_S, BACKOFF_S * (2 ** refusals[asks] - 1))
            heapq.heappush(ahead, (now_s + OFFER_S + chance.uniform(0, longest_s), Kind.AGAIN, asks))
    return took_s


if __name__ == "__main__":
    main()
