"""Many Locust workers without a request sent: what plan, histograms and merging cost them and the master.

    python -m tests.bench.workers_dry --rate 5000 --workers 20 --seconds 60

Each worker walks the whole plan, as it does in a test, keeps its share, and counts a made-up answer to each
of its calls; so does one that has all of the plan. Shares have to be the plan, each call once, and the
histograms that come over the wire have to merge into exactly those of the one. What a call costs is told by
`load_cost`.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import msgpack
from rich.console import Console

from harness.load.kit.limits import LoadLimits
from harness.load.kit.node import DriverScenario, plan_of
from harness.load.kit.profiles import Poisson
from harness.load.kit.settings import LoadSettings
from harness.load.kit.shares import Share
from harness.load.kit.tally import HISTOGRAMS, Tally, merge
from harness.records.sent import Arrival, RequestRow

KIB = 1024
LATE_S = 0.001
MEDIAN_S, SIGMA = 0.5, 1.0
FAILS = 50
"""One of so many calls fails."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The load."""

    rate_rps: float
    workers: int
    seconds: float
    turns: int = 1

    @property
    def scenario(self) -> DriverScenario:
        """What a user class would send."""
        return DriverScenario(
            name="Dry", host="http://127.0.0.1:9", profile=Poisson(self.rate_rps), turns=self.turns
        )

    def plan(self) -> Iterator[Arrival]:
        """Return the whole plan."""
        return plan_of(self.scenario, SETTINGS, self.seconds, "dry")


SETTINGS = LoadSettings(
    limits=LoadLimits(),
    rate_factor=1.0,
    seed=1,
    call_timeout_s=60.0,
    max_in_flight=1000,
    simulator_url=None,
    simulator_token=None,
    traces_url=None,
    otlp_url=None,
    results=None,
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one worker has to show.

    Attributes:
        calls: of its share.
        numbers: sum of their numbers in the plan, and of the squares: no other set has both, nearly.
        walk_s, tally_s: CPU seconds for walking the plan, and for counting the share.
        kib: that it grew by while it did.
        wire: what it hands in.
    """

    calls: int
    numbers: tuple[int, int]
    walk_s: float
    tally_s: float
    kib: int
    wire: bytes


def answered(arrival: Arrival) -> RequestRow:
    """Make up an answer to a call: the same whoever sends it."""
    draw = random.Random(arrival.index)
    failed = arrival.index % FAILS == 0
    sent_s = arrival.due_s + LATE_S * draw.random()
    return RequestRow(
        experiment="Dry",
        arm="by-hand",
        index=arrival.index,
        phase=arrival.phase,
        session_id=arrival.session_id,
        request_id=f"request-{arrival.index}",
        trace_id=f"{arrival.index:032x}",
        span_id=f"{arrival.index:016x}",
        due_s=arrival.due_s,
        sent_s=sent_s,
        end_s=sent_s + MEDIAN_S * draw.lognormvariate(0.0, SIGMA),
        status=503 if failed else 200,
        error="busy" if failed else None,
        error_type="http_503" if failed else None,
        upstream=f"10.0.0.{arrival.index % 16}:8080",
        body_bytes=400,
    )


def worker(asked: Asked, share: Share) -> Part:
    """Do what a worker does, but for the calls."""
    kib = _kib()
    begun_s = time.process_time()
    for _ in share.take(asked.plan(), by_session=asked.turns > 1):
        pass
    walk_s = time.process_time() - begun_s
    tally, calls, sums = Tally(), 0, [0, 0]
    tally_s = 0.0
    for arrival in share.take(asked.plan(), by_session=asked.turns > 1):
        row = answered(arrival)
        begun_s = time.thread_time()
        tally.add(row)
        tally_s += time.thread_time() - begun_s
        calls += 1
        sums[0] += arrival.index
        sums[1] += arrival.index**2
    wire: bytes = msgpack.dumps(tally.to_wire())
    return Part(
        calls=calls,
        numbers=(sums[0], sums[1]),
        walk_s=walk_s,
        tally_s=tally_s,
        kib=_kib() - kib,
        wire=wire,
    )


def apart(function: Callable[..., Part], *args: Any) -> Part:
    """Return what a function says in a process of its own, whose memory is its alone."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def same(one: Tally, other: Tally) -> list[str]:
    """Return which figures of two tallies differ."""
    wires = [tally.to_wire() for tally in (one, other)]
    differing = [name for name in HISTOGRAMS if wires[0]["histograms"][name] != wires[1]["histograms"][name]]
    plain = ("succeeded", "upstreams", "failures", "others")
    differing += [name for name in plain if wires[0][name] != wires[1][name]]
    return [*differing, *(["slowest"] if sorted(one.slowest) != sorted(other.slowest) else [])]


def merged(parts: list[Part]) -> tuple[Tally, float]:
    """Return what the master makes of the parts, and the CPU seconds that takes."""
    begun_s = time.process_time()
    whole = merge(Tally.from_wire(msgpack.loads(part.wire)) for part in parts)
    return whole, time.process_time() - begun_s


def _kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Print what it costs, and whether the parts are the whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rate", type=float, default=5000.0)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--turns", type=int, default=1)
    told = parser.parse_args()
    asked = Asked(rate_rps=told.rate, workers=told.workers, seconds=told.seconds, turns=told.turns)
    whole = apart(worker, asked, Share(0, 1))
    parts = [apart(worker, asked, Share(number, asked.workers)) for number in range(asked.workers)]
    together, merge_s = merged(parts)
    differing = same(together, Tally.from_wire(msgpack.loads(whole.wire)))
    sums = tuple(map(sum, zip(*(part.numbers for part in parts), strict=True)))
    if sum(part.calls for part in parts) != whole.calls or sums != whole.numbers:
        differing.append("calls")
    calls = [part.calls for part in parts]
    out = Console(highlight=False, soft_wrap=True)
    load = f"{asked.rate_rps:g} requests/s over {asked.workers} workers, {asked.seconds:g} s"
    exact = f"NOT those of one: {', '.join(differing)}" if differing else "exactly those of one"
    out.print(f"{load}: {whole.calls} calls")
    out.print(f"  a worker's share: {min(calls)} to {max(calls)} calls")
    out.print(
        f"  walking the plan: {max(p.walk_s for p in parts) / asked.seconds:.1%} of a core in each worker"
    )
    out.print(f"  counting its calls: {max(p.tally_s for p in parts) / asked.seconds:.2%} of a core")
    out.print(f"  memory for both: {max(p.kib for p in parts) / KIB:.1f} MiB in each worker")
    out.print(f"  (one that counts all of them: {whole.kib / KIB:.1f} MiB)")
    out.print(f"  what a worker hands in: {max(len(p.wire) for p in parts) / KIB:.0f} KiB")
    out.print(f"  what the master makes of all: {merge_s * 1000:.0f} ms of CPU")
    out.print(f"  calls and histograms together: {exact}")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
