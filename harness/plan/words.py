"""A plan in words: the sentences and tables that the terminal and the page share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.plan.asked import Answer, Candidate
from harness.plan.estimate import CONFIDENCE, Point
from harness.plan.prices import Prices, per_thousand
from harness.plan.records import Fleet
from harness.run.fit_to_machine import CONTAINER_SHARE

HEADS: Final = (
    "limit",
    "containers",
    "p99",
    "errors",
    "wait p99",
    "in use",
    "container-s / request",
    "cost / 1,000",
)
OPTIMISM: Final = (
    "The simulation knows no garbage collection, no noisy neighbour and no network that fails; "
    "`agentrig plan --check` says how far it is off for the real fleet."
)


def seconds(value: float) -> str:
    """Write a duration."""
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.3g} s"


def headline(found: Answer) -> str:
    """Say how many containers, or that none do."""
    asked = found.asked
    wanted = f"{asked.rate_rps:g} requests/s with p99 within {seconds(asked.promise.p99_s)}"
    wanted += f" and at most {100 * asked.promise.error_ratio:.3g} % failed"
    if found.best is None or found.best.containers is None:
        if found.undecided:
            return (
                f"It can't be told whether {wanted} can be held: the intervals reach both sides of the limit."
            )
        if asked.containers is not None:
            return f"{asked.containers} containers do not hold {wanted}."
        if found.tried is not None:
            return f"Up to {found.tried} containers do not hold {wanted}; more were not tried."
        return f"No number of containers holds {wanted}."
    zones = f", one of {asked.zones} zones gone" if asked.zones > 1 else ""
    return f"{found.best.containers} containers of limit {found.best.limit} hold {wanted}{zones}."


def sentences(found: Answer) -> Iterator[str]:
    """Yield what there is to say beside the table."""
    asked, best = found.asked, found.best
    fleet = asked.fleet
    balancers = f", {fleet.balancers} balancers" if fleet.balancers > 1 else ""
    yield (
        f"Routing: {fleet.routing.value}{balancers}. A request that waits for nothing has a p99 "
        f"of {seconds(found.alone_p99_s)}."
    )
    if best is not None and best.fleet is not None and found.cliff_rps is not None:
        if asked.zones > 1:
            yield (
                f"{best.fleet.containers} of the {best.containers} are left when a zone is gone: the "
                f"figures are theirs."
            )
        yield (
            f"Headroom: p99 {seconds(best.point.p99.mean)} "
            f"({CONFIDENCE:.0%} interval {seconds(best.point.p99.low)} to {seconds(best.point.p99.high)}); "
            f"the limit is met up to {found.cliff_rps:.3g} requests/s, {found.headroom or 0:+.0%}."
        )
        yield f"What binds there: {found.binds.value}."
        yield from _cores(found)
        if found.if_off is not None:
            yield _sure(found, found.if_off)
        attempts = best.point.figures.attempts
        if attempts > AMPLIFIED:
            yield (
                f"A model call takes {attempts:.2f} attempts: {best.point.figures.refused_ratio:.1%} are "
                f"refused."
            )
    else:
        yield f"What binds: {found.binds.value}."
    for name, needed in found.instead.items():
        yield f"With {name}: {needed} containers."
    yield found.first
    for doubt in asked.workload.doubts:
        yield f"In doubt, for the workload is: {doubt}."
    for each in asked.workload.unknown:
        yield f"Unknown: {each}."
    yield OPTIMISM


def _sure(found: Answer, if_off: Point) -> str:
    """Say how well the workload is known, and what it would be like if it is off by that."""
    broken = "that breaks the promise, so calibrate on more" if found.unsure else "the promise is not broken"
    return (
        f"The workload rests on {found.asked.workload.requests:,} requests: what they take is known to "
        f"{found.known_to:.1%} (two standard errors). With so much more this fleet has a p99 of "
        f"{seconds(if_off.p99.mean)}, and {if_off.errors.mean:.2%} failed: {broken}."
    )


def _cores(found: Answer) -> Iterator[str]:
    """Say what CPU a container takes, where that is more than a process of one thread has."""
    cpu_s, best = found.asked.workload.container.cpu_s, found.best
    if cpu_s is None or best is None or best.fleet is None:
        return
    cores = found.asked.rate_rps * cpu_s / best.fleet.containers
    if cores > CONTAINER_SHARE:
        yield (
            f"Each container would use {cores:.2g} cores ({seconds(cpu_s)} of CPU a request), which the "
            f"simulation knows nothing of: above {CONTAINER_SHARE:g} of one, requests queue for a process's "
            f"thread. Give a lower --limit, or containers that work on several cores."
        )


AMPLIFIED: Final = 1.005
UNPRICED: Final = "unknown: tokens"


def rows(found: Answer, prices: Prices | None) -> Iterator[tuple[str, ...]]:
    """Yield the table: a row for each limit."""
    for each in found.candidates:
        told = each.point.figures
        cost = "-"
        if prices is not None:
            told_cost = per_thousand(each.point, found.asked.workload, prices, spare(each))
            cost = UNPRICED if told_cost is None else f"{told_cost:.4g} {prices.currency}"
        low, high = seconds(each.point.p99.low), seconds(each.point.p99.high)
        yield (
            str(each.limit),
            "none" if each.containers is None else str(each.containers),
            f"{seconds(each.point.p99.mean)} ({low} to {high})",
            f"{told.error_ratio:.2%}",
            seconds(told.wait_p99_s),
            f"{told.utilisation:.0%}",
            f"{told.container_s * spare(each):.3g}",
            cost,
        )


def spare(each: Candidate) -> float:
    """Return the containers that are paid for, over those that were simulated."""
    fleet: Fleet | None = each.fleet
    return 1.0 if fleet is None or each.containers is None else each.containers / fleet.containers
