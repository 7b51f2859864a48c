"""What the newest window showed, in Prometheus' text format: a scrape reads it, and pays for no look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from harness.observe.gathering import OBSERVED
from harness.observe.look import Seen
from harness.observe.store import Kind
from harness.records.outcome import ArmSummary, CheckResult, ExperimentResult, Outcome

PREFIX = "agentrig_observe"
QUANTILES = ("0.5", "0.95", "0.99")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is known after a look.

    Attributes:
        at_s: when it ended, in Unix seconds.
        took_s: how long it took.
        verdict: of it.
        answered: whether the source could be asked.
        seen: what was found; None for nothing that could be judged.
    """

    at_s: float
    took_s: float
    verdict: Outcome
    answered: bool
    seen: Seen | None


class Metrics(Collector):
    """Holds the newest window. What is older than that is in Prometheus.

    Args:
        every_s: from one window to the next.
        length_s: of a window.
    """

    def __init__(self, every_s: float, length_s: float) -> None:
        self._every_s, self._length_s = every_s, length_s
        self._counts = Counter[Outcome]()
        self._window: Window | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def take(self, window: Window) -> None:
        """Show a window in place of the one before."""
        self._counts[window.verdict] += 1
        self._window = window

    def text(self) -> bytes:
        """Return the page."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield each metric; of a service what the newest window showed of it, and nothing older."""
        window = self._window
        counts = CounterMetricFamily(f"{PREFIX}_windows", "Windows that were looked at.", labels=["verdict"])
        for verdict in (Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN):
            counts.add_metric([verdict], self._counts[verdict])
        yield counts
        yield GaugeMetricFamily(f"{PREFIX}_every_seconds", "From one window to the next.", self._every_s)
        yield GaugeMetricFamily(f"{PREFIX}_window_seconds", "Length of a window.", self._length_s)
        if window is None:
            return
        yield GaugeMetricFamily(
            f"{PREFIX}_source_up", "Whether the source of the spans answered.", window.answered
        )
        yield GaugeMetricFamily(
            f"{PREFIX}_last_window_timestamp_seconds", "When the newest window ended.", window.at_s
        )
        yield GaugeMetricFamily(
            f"{PREFIX}_look_seconds", "How long it took to read and judge it.", window.took_s
        )
        yield from _of_services(window.seen)


def _of_services(seen: Seen | None) -> Iterator[Metric]:
    results = seen.result.experiments if seen is not None else ()
    yield _states(
        "verdict",
        "The verdict on a service: 1 for the one that it is.",
        ["service"],
        [((each.name,), each.verdict) for each in results],
        (Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN),
    )
    checks = [(each.name, check) for each in results for check in each.checks if check.arm == OBSERVED]
    yield _states(
        "check",
        "The verdict of a check on a service: 1 for the one that it is.",
        ["service", "check"],
        [((name, check.id), check.verdict) for name, check in checks],
        tuple(Outcome),
    )
    yield from _of_checks(checks)
    yield from _of_figures(results)
    doubts = GaugeMetricFamily(
        f"{PREFIX}_doubt", "What the store lacks, or has wrong: 1 where it does.", labels=["service", "kind"]
    )
    for name, told in seen.doubts.items() if seen is not None else ():
        for kind in get_args(Kind):
            doubts.add_metric([name, kind], any(doubt.kind == kind for doubt in told))
    yield doubts


def _of_checks(checks: list[tuple[str, CheckResult]]) -> Iterator[Metric]:
    labels = ["service", "check"]
    value = GaugeMetricFamily(f"{PREFIX}_check_value", "What a check saw, in its own unit.", labels=labels)
    limit = GaugeMetricFamily(f"{PREFIX}_check_limit", "What that is held against.", labels=labels)
    cases = GaugeMetricFamily(f"{PREFIX}_check_cases", "Tested cases that a check rests on.", labels=labels)
    for name, check in checks:
        for family, figure in ((value, check.observed), (limit, check.limit), (cases, check.cases)):
            if figure is not None:
                family.add_metric([name, check.id], figure)
    yield from (value, limit, cases)


def _of_figures(results: tuple[ExperimentResult, ...]) -> Iterator[Metric]:
    requests = GaugeMetricFamily(f"{PREFIX}_requests", "Requests of the window.", labels=["service"])
    errors = GaugeMetricFamily(f"{PREFIX}_errors", "Those of them that failed.", labels=["service"])
    containers = GaugeMetricFamily(f"{PREFIX}_containers", "Containers heard of.", labels=["service"])
    attempts = GaugeMetricFamily(f"{PREFIX}_attempts_per_call", "Of model calls.", labels=["service"])
    latency = GaugeMetricFamily(
        f"{PREFIX}_latency_seconds", "Of the successes.", labels=["service", "quantile"]
    )
    for each in results:
        summary = each.arms[OBSERVED]
        requests.add_metric([each.name], summary.requests)
        errors.add_metric([each.name], summary.errors)
        containers.add_metric([each.name], len(summary.served))
        if summary.amplification is not None:
            attempts.add_metric([each.name], summary.amplification)
        for quantile, value_ms in zip(QUANTILES, _latencies(summary), strict=True):
            if value_ms is not None:
                latency.add_metric([each.name, quantile], value_ms / 1e3)
    yield from (requests, errors, containers, attempts, latency)


def _latencies(summary: ArmSummary) -> tuple[float | None, ...]:
    return summary.p50_ms, summary.p95_ms, summary.p99_ms


def _states(
    name: str,
    said: str,
    labels: list[str],
    states: list[tuple[tuple[str, ...], Outcome]],
    known: tuple[Outcome, ...],
) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", said, labels=[*labels, "verdict"])
    for place, state in states:
        for each in known:
            family.add_metric([*place, each], each is state)
    return family
