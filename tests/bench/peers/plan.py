"""The simulation of `agentrig plan` beside Ciw and SimPy: CPU a simulated request, of the same requests."""

from __future__ import annotations

import json
import math
import random
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from harness.plan.records import Fleet, Work
from harness.plan.simulate import simulate
from tests.bench.peers.figures import Figures, NotMeasuredError, Row, turn_about
from tests.bench.plan_cost import events, work
from tests.harness.plan import peer

REQUESTS, SLOTS = 50_000, 100
SAME = 1e-6
"""Of the mean wait: the requests are the same, so all that may differ is rounding."""


def rows(peers: Path, rounds: int, draw: random.Random) -> list[Row]:
    """Measure the rows of the simulation."""
    one, fleet = work(REQUESTS, SLOTS), Fleet(containers=SLOTS)
    expected_s = float(np.mean(peer.central_queue(one, SLOTS) - one.service_s))
    waited: dict[str, Callable[[], np.ndarray]] = {
        "agentrig": lambda: simulate(one, fleet).latency_s,
        "agentrig, event by event": lambda: events(one, fleet).latency_s,
        "SimPy": lambda: peer.central_queue(one, SLOTS),
    }
    ways = {name: partial(timed, run, one, expected_s) for name, run in waited.items()}
    ways["Ciw"] = partial(ciw, peers / "ciw" / "bin" / "python", one, expected_s)
    told = turn_about(ways, rounds, draw, warm_up=True)
    figures: dict[str, Figures] = {
        name: each if isinstance(each, str) else tuple(each) for name, each in told.items()
    }
    others = {name: figures[name] for name in ("Ciw", "SimPy")}
    return [
        Row(
            part="plan",
            what=f"CPU of a simulated request, one queue for {SLOTS} slots, {how}",
            unit="µs",
            ours=figures[name],
            peers=others,
        )
        for how, name in (
            ("as `agentrig plan` takes it", "agentrig"),
            ("event by event", "agentrig, event by event"),
        )
    ]


def timed(run: Callable[[], np.ndarray], one: Work, expected_s: float) -> float:
    """Return µs of CPU a request."""
    begun_s = time.process_time()
    latency_s = run()
    cpu_s = time.process_time() - begun_s
    require_same(float(np.mean(latency_s - one.service_s)), expected_s, len(latency_s))
    return cpu_s / len(one) * 1e6


def ciw(python: Path, one: Work, expected_s: float) -> float:
    """Return µs of CPU a request, of Ciw in its own environment."""
    said = {
        "gaps_s": np.diff(one.due_s, prepend=0.0).tolist(),
        "service_s": one.service_s.tolist(),
        "slots": SLOTS,
    }
    script = str(Path(__file__).with_name("ciw_queue.py"))
    try:
        ran = subprocess.run(
            [str(python), script], input=json.dumps(said), capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise NotMeasuredError("not installed") from error
    if ran.returncode:
        raise NotMeasuredError(f"Ciw ended with {ran.returncode}: {ran.stderr.strip().splitlines()[-1]}")
    told = json.loads(ran.stdout)
    require_same(told["mean_wait_s"], expected_s, told["served"])
    return float(told["cpu_s"]) / len(one) * 1e6


def require_same(mean_wait_s: float, expected_s: float, served: int) -> None:
    """Look whether the same requests waited for as long."""
    if served != REQUESTS:
        raise NotMeasuredError(f"{served} of {REQUESTS} requests were served")
    if not math.isclose(mean_wait_s, expected_s, rel_tol=SAME):
        raise NotMeasuredError(f"the mean wait is {mean_wait_s:g} s, and not {expected_s:g} s")
