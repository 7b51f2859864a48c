"""How often two arms of `fleet-rate` end on the same step by chance alone.

    python -m tests.proof.equal_steps --agents 4 --draws 500

Simulates the ramp with the file's steps and limits, other arrivals and service times in each draw, behind
one central queue (what `busy-aware` comes near) and behind round robin (`blind`). Where both sustain the
same step, the check of their ratio falls short although nothing is wrong.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from harness.analysis.queueing import ALWAYS, central_waits
from harness.experiment.load import load
from harness.load.arrivals import plan
from harness.quantiles import quantile
from harness.ramp import RampLimits, rate_of
from harness.records.sent import Arrival
from harness.records.spec import AGENT_OVERHEAD_S, ExperimentSpec
from harness.run.pipeline import known
from tests.proof.after_answer import call_s

NAME, ARM, CONTROL = "fleet-rate", "busy-aware", "blind"
LEAST_DRAWS = 100
SHOWN = (0.05, 0.5, 0.95)


def main() -> None:
    """Draw, and print how often the rates were equal, and how they are spread."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--agents", type=int, default=4, help="containers")
    options = parser.parse_args()
    if options.draws < LEAST_DRAWS:
        parser.error(f"--draws: shares of a few percent take at least {LEAST_DRAWS}")
    out = Console(highlight=False)
    spec = load(NAME, known())
    spec = spec.model_copy(update={"fleet": spec.fleet.model_copy(update={"agents": options.agents})})
    rates_rps = [sustained_rps(spec, seed) for seed in range(options.draws)]
    limit = next(check.limit or 1.0 for check in spec.checks if check.versus == CONTROL)
    equal = sum(queue_rps < limit * robin_rps for queue_rps, robin_rps in rates_rps)
    out.print(f"{options.draws} draws of {NAME} with {options.agents} containers")
    out.print(f"  {equal / options.draws:.1%}: the central queue sustains less than {limit} x round robin's")
    for name, found in zip((ARM, CONTROL), zip(*rates_rps, strict=True), strict=True):
        ranked = sorted(found)
        told = ", ".join(f"{share:.0%} {quantile(ranked, share):.1f}" for share in SHOWN)
        out.print(f"  {name}, sustained requests/s: {told}")


def sustained_rps(spec: ExperimentSpec, seed: int) -> tuple[float, float]:
    """Return the rate that the central queue sustains, and that of round robin, on the same draws."""
    chance = random.Random(f"{seed} service")
    latency = spec.simulator.latency
    arrivals = plan(spec.load_of(ARM), seed, NAME)
    works_s = [AGENT_OVERHEAD_S + call_s(latency, chance) for _ in arrivals]
    due_s = [each.due_s for each in arrivals]
    agents = spec.fleet_of(ARM).agents
    queued_s = central_waits(due_s, works_s, [ALWAYS] * agents)
    in_turn_s = [0.0] * len(arrivals)
    for agent in range(agents):
        turn = slice(agent, None, agents)
        in_turn_s[turn] = central_waits(due_s[turn], works_s[turn], [ALWAYS])
    queue_rps, robin_rps = (
        last_sustained_rps(spec, arrivals, [wait + work for wait, work in zip(waits_s, works_s, strict=True)])
        for waits_s in (queued_s, in_turn_s)
    )
    return queue_rps, robin_rps


def last_sustained_rps(
    spec: ExperimentSpec, arrivals: Sequence[Arrival], latencies_s: Sequence[float]
) -> float:
    """Return the rate of the last step before the first that is not sustained; 0.0 for none."""
    ramp = spec.load.ramp
    assert ramp is not None  # the experiment is one
    limits = RampLimits(p99_ms=ramp.p99_ms, error_ratio=ramp.error_ratio)
    requests: Counter[str] = Counter(each.phase for each in arrivals)
    slow: Counter[str] = Counter()
    for each, latency_s in zip(arrivals, latencies_s, strict=True):
        slow[each.phase] += latency_s * 1e3 > ramp.p99_ms
    last_rps = 0.0
    for phase, count in requests.items():  # in the order they are due
        rate_rps = rate_of(phase)
        if rate_rps is not None:
            if not limits.allow(requests=count, failed=0, slow=slow[phase]):
                break
            last_rps = rate_rps
    return last_rps


if __name__ == "__main__":
    main()
