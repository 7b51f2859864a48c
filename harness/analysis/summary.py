"""The figures of one arm."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

from harness import contract
from harness.analysis.occupancy import occupancy
from harness.analysis.queueing import ALWAYS, central_waits
from harness.analysis.recovery import recovery
from harness.analysis.sustained import sustained_rps
from harness.analysis.tail import body, tail
from harness.analysis.throttle import goodput_share
from harness.machine import SATURATED, late_limit_ms
from harness.quantiles import quantile
from harness.records.history import ArmHistory, JoinedRequest, calls
from harness.records.outcome import ArmSummary
from harness.records.setup import ArmFacts

ONE_CORE = 0.9
"""Above this share of one core, a process of ours that works on one makes others wait."""
RAMP_UP = 0.2
"""Share of the steady phase in which the fleet fills."""
ELSEWHERE = 0.01
"""Above this share of requests, that two sources name different containers is more than a few lost spans."""


def summarise(history: ArmHistory) -> ArmSummary:
    """Draw every figure of an arm from its history; None where the data doesn't give it."""
    good = [request for request in history.requests if request.row.ok]
    latencies_ms = [request.row.latency_s * 1e3 for request in good]
    p99_ms = quantile(latencies_ms, 0.99)
    optimum = optimum_of(history)
    optimum_p99_ms = _p99_ms(optimum.latencies_s)
    seen = occupancy(history)
    duration_s = history.facts.end_s - history.facts.start_s
    logical, attempts = len(calls(history.journal)), len(history.journal)
    lateness_ms = _p99_ms([request.row.lateness_s for request in history.requests])
    utilisation = cpu_utilisation(history)
    recovered = recovery(history.requests, history.facts)
    return ArmSummary(
        control=history.facts.control,
        requests=len(history.requests),
        errors=sum(not (request.row.ok or request.row.left) for request in history.requests),
        p50_ms=quantile(latencies_ms, 0.5),
        p95_ms=quantile(latencies_ms, 0.95),
        p99_ms=p99_ms,
        max_ms=max(latencies_ms, default=None),
        mean_ms=sum(latencies_ms) / len(latencies_ms) if latencies_ms else None,
        cold_p99_ms=_tail([r for r in good if r.waited_for_init]),
        steady_p95_ms=quantile([r.row.latency_s * 1e3 for r in good if r.row.phase == "steady"], 0.95),
        warm_p99_ms=_p99_ms([r.row.latency_s for r in good if not r.waited_for_init]),
        ttfb_p99_ms=_p99_ms(known(request.row.ttfb_s for request in good)),
        ttft_p50_ms=quantile([ttft_s * 1e3 for ttft_s in first_tokens_s(good)], 0.5),
        ttft_p99_ms=_p99_ms(first_tokens_s(good)),
        throughput_rps=len(good) / duration_s if duration_s > 0 else None,
        saturated_rps=saturated_rps(history),
        without_slot=without_slot(history),
        sustained_rps=sustained_rps(history),
        wait_p99_ms=_p99_ms(waits_s(good)),
        optimum_p99_ms=optimum_p99_ms,
        optimum_wait_p99_ms=_p99_ms(optimum.waits_s),
        p99_over_optimum=p99_ms / optimum_p99_ms if p99_ms and optimum_p99_ms else None,
        idle_while_waiting_s=seen.idle_while_waiting_s if any(seen.in_flight.values()) else None,
        busy_s=seen.busy_s,
        served=_served(history),
        client_inits=Counter(str(span.attributes.get(contract.CLIENT_NAME)) for span in history.inits),
        connections=_connections(history),
        model_calls=logical if history.journal else None,
        model_attempts=attempts if history.journal else None,
        amplification=attempts / logical if logical else None,
        herd_share=history.herd.share,
        goodput_share=goodput_share(history.journal, history.facts),
        p99_all_ms=_p99_ms([request.row.latency_s for request in history.requests]),
        recovery_s=recovered.took_s if recovered else None,
        recovery_look_s=recovered.observed_s if recovered else None,
        tail=tail(history.requests),
        body=body(history.requests),
        lateness_p99_ms=lateness_ms,
        cpu_utilisation=utilisation,
        others_share=others_share(history),
        cpu_s={each.name: each.cpu_s for each in history.facts.usage},
        slowest_trace=_slowest([r for r in history.requests if r.spans], 1.0),
        median_trace=_slowest([r for r in good if r.spans], 0.5),
        warnings=tuple(warnings(history, lateness_ms, utilisation, p99_ms)),
        join_warnings=tuple(join_warnings(history)),
    )


def _connections(history: ArmHistory) -> int | None:
    """Return how many connections the model API saw; what callers tell of it has none."""
    return len({row.connection for row in history.journal} - {0}) or None


def _slowest(requests: Sequence[JoinedRequest], share: float) -> str | None:
    """Return the trace of the request that so large a share of `requests` is no slower than."""
    ranked = sorted(requests, key=lambda request: request.row.latency_s)
    return ranked[math.ceil(share * len(ranked)) - 1].row.trace_id if ranked else None


def first_tokens_s(requests: Iterable[JoinedRequest]) -> tuple[float, ...]:
    """Return the times to the first words of those that have one; rows of older runs have none."""
    return known(request.row.ttft_s for request in requests)


def known(values: Iterable[float | None]) -> tuple[float, ...]:
    """Return the values that there are."""
    return tuple(value for value in values if value is not None)


def waits_s(requests: Iterable[JoinedRequest]) -> tuple[float, ...]:
    """Return the waits of those that a container is known to have worked on."""
    return tuple(request.wait_s for request in requests if request.taken_s is not None)


@dataclass(frozen=True, slots=True)
class Optimum:
    """What the successes of an arm would have taken in one central queue, in seconds.

    Attributes:
        waits_s: until a container began to work on each.
        latencies_s: until the answer.
    """

    waits_s: tuple[float, ...]
    latencies_s: tuple[float, ...]


def optimum_of(history: ArmHistory) -> Optimum:
    """Put this arm's arrivals and service times into the central queue.

    Failed requests that took a container's time take it here as well; those that no container
    worked on are in neither. Where nobody said how the fleet was set up, there is none; nor where a damaged
    record says that its containers take nothing, or left before the queue was empty.
    """
    slots = [] if history.facts.learnt else servers(history)
    if not slots:
        return Optimum(waits_s=(), latencies_s=())
    last_s = max(until_s for _, until_s in slots)  # nobody would serve what came later
    worked = sorted(
        (request.row.due_s, request.row.index, request.held_s, request.service_s, request.row.ok)
        for request in history.requests
        if request.held_s is not None and request.service_s is not None and request.row.due_s < last_s
    )
    try:
        waited_s = central_waits([each[0] for each in worked], [each[2] for each in worked], slots)
    except ValueError:  # nobody would serve one of them
        return Optimum(waits_s=(), latencies_s=())
    good = [(wait_s, each[3]) for wait_s, each in zip(waited_s, worked, strict=True) if each[-1]]
    return Optimum(
        waits_s=tuple(wait_s for wait_s, _ in good),
        latencies_s=tuple(wait_s + service_s for wait_s, service_s in good),
    )


def servers(history: ArmHistory) -> list[tuple[float, float]]:
    """Return from when to when each slot of each container began work, in Unix seconds."""
    present = [container.present(*ALWAYS) for container in history.facts.containers] or [ALWAYS]
    return present * history.facts.concurrency_limit


def saturated_rps(history: ArmHistory) -> float | None:
    """Return the successes/s that ended while the steady phase lasted.

    The first fifth of it is left out: until the containers are full and the first of them end, fewer
    end than the fleet can give. So is all that ends after it, when the queue runs empty.
    """
    steady = _filled(history.facts)
    if steady is None:
        return None
    from_s, to_s = steady
    ends_s = [r.row.end_s - history.facts.start_s for r in history.requests if r.row.ok]
    return sum(from_s <= end_s < to_s for end_s in ends_s) / (to_s - from_s)


def without_slot(history: ArmHistory) -> int | None:
    """Count the requests of the steady phase that would find every slot taken, however they were spread.

    In one central queue of all slots, with the arrivals as they were, each takes as long as those that were
    worked on, on average. So it is the load that is counted, and not what a balancer made of it. Containers
    that came or left count as if they had been there all the time.

    Returns:
        None without a steady phase, or when no request was worked on.
    """
    steady = _filled(history.facts)
    held_s = [request.held_s for request in history.requests if request.held_s is not None]
    if steady is None or not held_s:
        return None
    due_s = sorted(request.row.due_s for request in history.requests)
    slots = len(history.facts.containers) * history.facts.concurrency_limit
    waits_s = central_waits(due_s, [mean(held_s)] * len(due_s), [ALWAYS] * max(1, slots))
    from_s, to_s = (history.facts.start_s + edge_s for edge_s in steady)
    return sum(wait_s > 0 for at_s, wait_s in zip(due_s, waits_s, strict=True) if from_s <= at_s < to_s)


def _filled(facts: ArmFacts) -> tuple[float, float] | None:
    """Return the steady phase without the first fifth of it, in which containers fill; None without one."""
    found = [w for w in facts.windows if (w.kind, w.name) == ("phase", "steady")]
    if not found or found[0].to_s <= found[0].from_s:
        return None
    return found[0].from_s + RAMP_UP * (found[0].to_s - found[0].from_s), found[0].to_s


def cpu_utilisation(history: ArmHistory) -> float | None:
    """Return the share of the machine's cores that the run's processes used."""
    usage = history.facts.usage
    wall_s = max((each.wall_s for each in usage), default=0.0)
    there_s = wall_s * history.facts.cores
    return sum(each.cpu_s for each in usage) / there_s if there_s > 0 else None


def others_share(history: ArmHistory) -> float | None:
    """Return the share of the run's cores that others kept busy; what a quota leaves to them is theirs."""
    facts = history.facts
    return facts.others_cores / facts.cores if facts.others_cores is not None and facts.cores > 0 else None


def warnings(
    history: ArmHistory, lateness_ms: float | None, utilisation: float | None, p99_ms: float | None
) -> list[str]:
    """Say what makes the figures less than sure: the harness itself was in the way."""
    texts = []
    if (late := late_load(lateness_ms, p99_ms)) is not None:
        texts.append(f"{late}; lower the rate, or leave the machine to the run")
    if utilisation is not None and utilisation > SATURATED:
        texts.append(
            f"the machine was the bottleneck: {utilisation:.0%} of its cores in use (limit {SATURATED:.0%}); "
            "lower the rate or the number of agents"
        )
    texts += _own_queues(history)
    texts += [said for said in (history.gaps, history.impossible) if said]
    if history.spans_lost:
        texts.append(history.spans_lost)
    return texts


def late_load(lateness_ms: float | None, p99_ms: float | None) -> str | None:
    """Say that the load sent later than it meant to, by so many ms at its p99; None when it didn't."""
    late_ms = late_limit_ms(p99_ms)
    if lateness_ms is None or lateness_ms <= late_ms:
        return None
    return f"the load sent late: {lateness_ms:.0f} ms at p99 (limit {late_ms:.0f})"


def join_warnings(history: ArmHistory) -> list[str]:
    """Say where sources contradict each other, or clocks, and what else there is to know of an arm."""
    joins, texts = history.joins, []
    if history.facts.first_run is not None:
        texts.append(f"it ran twice: the first time, which is not counted, {history.facts.first_run}")
    if history.clocks_told is not None:
        texts.append(history.clocks_told)
    if (strays := joins.received - joins.joined) > 0:
        texts.append(f"{strays} of {joins.received} model calls are of no request that is known")
    if joins.misnamed:
        texts.append(
            f"by the balancer, answers of {', '.join(joins.misnamed)} came from another container, or from "
            "several: give each a service.instance.id of its own"
        )
    if joins.elsewhere > ELSEWHERE * len(history.requests):
        texts.append(
            f"for {joins.elsewhere} of {len(history.requests)} requests the balancer names another container "
            "than the spans do"
        )
    return texts


def _own_queues(history: ArmHistory) -> list[str]:
    """Say which part of the harness itself had no time left. An agent may: it is what is measured."""
    agents = {container.name for container in history.facts.containers}
    return [
        f"{each.name} was the bottleneck: {each.cpu_s / each.wall_s:.0%} of a core in use (limit "
        f"{ONE_CORE:.0%}); lower the rate"
        for each in history.facts.usage
        if each.name not in agents and each.wall_s and each.cpu_s / each.wall_s > ONE_CORE
    ]


def _p99_ms(values_s: Sequence[float]) -> float | None:
    p99_s = quantile(values_s, 0.99)
    return None if p99_s is None else p99_s * 1e3


def _tail(requests: Sequence[JoinedRequest]) -> float | None:
    """Return the p99 of a small group: the slowest while there are fewer than 100."""
    latencies_ms = [request.row.latency_s * 1e3 for request in requests]
    return quantile(latencies_ms, 0.99) or max(latencies_ms, default=None)


def _served(history: ArmHistory) -> dict[str, int]:
    counts = Counter(request.container for request in history.requests if request.container)
    return {container.name: counts[container.name] for container in history.facts.containers}
