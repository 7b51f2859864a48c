"""One simulation of a fleet: the engine, its router, its autoscaler and its losses put together."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np

from harness.analysis.queueing import ALWAYS, central_waits
from harness.plan.engine import Simulation
from harness.plan.records import Fleet, Loss, ModelApi, Outcome, RetryRule, Routing, Scaling, Work
from harness.plan.routers import router_of
from harness.records.workload import Workload


def simulate(
    work: Work,
    fleet: Fleet,
    model: ModelApi = ModelApi(),  # noqa: B008 - frozen
    retry: RetryRule = RetryRule(),  # noqa: B008 - frozen
    seed: int = 1,
    *,
    settle_s: float = 0.0,
) -> Outcome:
    """Let a fleet work on some requests.

    Args:
        work: the requests, at least one.
        fleet: that works on them.
        model: what limits the model's answers.
        retry: what is done after a refusal.
        seed: of ties, backoffs and faults; the same gives the same.
        settle_s: until when containers' seconds are not counted, where their number changes.

    Returns:
        What became of them. Latencies include `fleet.path_s`.
    """
    if _is_central(work, fleet, model) and (found := _central(work, fleet)) is not None:
        return found
    return by_events(work, fleet, model, retry, seed, settle_s=settle_s)


def by_events(
    work: Work, fleet: Fleet, model: ModelApi, retry: RetryRule, seed: int, *, settle_s: float = 0.0
) -> Outcome:
    """Let a fleet work on some requests, event by event: see `simulate`."""
    sim = Simulation(work, fleet, model, retry, seed, settle_s=settle_s)
    sim.router = router_of(sim)
    if fleet.routing is not Routing.SESSION:
        for _ in range(fleet.containers):
            sim.start_container(0.0, 0.0)
    if fleet.scaling is not None:
        _Autoscaler(sim, fleet.scaling)
    for loss in fleet.lost:
        sim.at(loss.at_s, lambda now_s, what: _lose(sim, now_s, what), loss)
    outcome = sim.run()
    if (
        not fleet.path_s or fleet.routing is Routing.BUSY_AWARE
    ):  # there, the slot is held for the path as well
        return outcome
    return replace(outcome, latency_s=outcome.latency_s + fleet.path_s)


def one_queue(fleet: Fleet, workload: Workload) -> bool:
    """Whether simulating a fleet takes no events, which is twenty times as quick."""
    limited = (
        workload.quota is not None or workload.fault_ratio > 0 or workload.service.after_answer.mean_s > 0
    )
    alone = fleet.routing is Routing.BUSY_AWARE and fleet.balancers == 1
    return alone and not limited and fleet.scaling is None and not fleet.lost


def _is_central(work: Work, fleet: Fleet, model: ModelApi) -> bool:
    """Whether all containers together are one queue for all slots, and nothing ever changes that."""
    alone = fleet.routing is Routing.BUSY_AWARE and fleet.balancers == 1
    still = fleet.scaling is None and not fleet.lost
    return alone and still and model.unlimited and not work.after_s.any() and len(work) > 0


def _central(work: Work, fleet: Fleet) -> Outcome | None:
    """Return what one queue does, which takes no events; None where it would be too long for the balancer."""
    held_s = work.service_s + fleet.path_s
    slots = fleet.containers * fleet.limit
    waits = central_waits(work.due_s.tolist(), held_s.tolist(), [ALWAYS] * slots)
    wait_s = np.array(waits)
    before = np.arange(len(work)) - np.searchsorted(work.due_s + wait_s, work.due_s, "right")
    if ((wait_s > 0) & (before >= fleet.queue_limit)).any():
        return None
    latency_s = wait_s + held_s
    end_s = float((work.due_s + latency_s).max())
    return Outcome(
        latency_s=latency_s,
        wait_s=wait_s,
        ends=np.zeros(len(work), np.int8),
        attempts=0,
        refused=0,
        calls=0,
        turned_away=0,
        container_s=fleet.containers * end_s,
        work_s=float(held_s.sum()),
        all_work_s=float(held_s.sum()),
        span_s=end_s - float(work.due_s[0]),
        most_containers=fleet.containers,
    )


def _lose(sim: Simulation, now_s: float, loss: Loss) -> None:
    """Lose some containers, and start others in their place."""
    up = list(sim.up)
    gone = up[: max(1, round(loss.share * len(up)))]
    for container in gone:
        sim.kill_container(container, now_s)
    if sim.fleet.routing is not Routing.SESSION:
        for _ in gone:
            sim.start_container(now_s, sim.fleet.cold_start_s)


class _Autoscaler:
    """Starts and stops containers by the requests in flight, those that wait included."""

    def __init__(self, sim: Simulation, scaling: Scaling) -> None:
        self._sim = sim
        self._scaling = scaling
        self._needs: deque[tuple[float, int]] = deque()
        sim.at(scaling.sync_s, self._look, None)

    def _look(self, now_s: float, _: None) -> None:
        sim, scaling = self._sim, self._scaling
        there = len(sim.up) + sim.starting
        wanted = (sim.in_work + sim.router.waiting) / scaling.target
        need = min(max(math.ceil(wanted), scaling.least), scaling.most)
        if there and abs(wanted / there - 1) <= scaling.tolerance:
            need = min(max(there, scaling.least), scaling.most)
        self._needs.append((now_s, need))
        while self._needs[0][0] < now_s - scaling.stable_s:
            self._needs.popleft()
        if need > there:
            for _number in range(need - there):
                sim.start_container(now_s, sim.fleet.cold_start_s)
        elif sim.up and (surplus := there - max(need for _, need in self._needs)) > 0:
            for container in sorted(sim.up, key=sim.load.__getitem__)[:surplus]:
                sim.stop_container(container, now_s)
        sim.at(now_s + scaling.sync_s, self._look, None)
