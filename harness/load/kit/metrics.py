"""The load's own figures for Prometheus: what was due, sent, late and dropped, and how long answers took."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

import flask
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from harness.load.kit.strangers import behind_login
from harness.load.kit.tally import Tally

if TYPE_CHECKING:  # importing Locust patches the process
    from locust.web import WebUI

PATH = "/agentrig/metrics"
PREFIX = "agentrig_load"
BOUNDS_S = (
    *(0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0),
    *(7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0),
)
OK = 200
Bucket = tuple[str, float] | tuple[str, float, Exemplar]


def install(web_ui: WebUI, tally: Callable[[], Tally | None]) -> None:
    """Add the page to Locust's.

    Args:
        web_ui: Locust's.
        tally: returns that of all processes, None before the first test.
    """
    if web_ui.app is None:
        return

    def metrics() -> flask.Response:
        return flask.Response(exposition(tally() or Tally()), content_type=CONTENT_TYPE_LATEST)

    web_ui.app.add_url_rule(PATH, view_func=behind_login(web_ui, metrics))


def exposition(tally: Tally) -> bytes:
    """Return the page, in OpenMetrics: Prometheus' older format has no exemplars."""
    return bytes(generate_latest(_Read(tally)))  # type: ignore[no-untyped-call]  # prometheus_client - it has no type


class _Read(Collector):
    """Reads a tally."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        """Yield each metric."""
        tally, counts = self._tally, self._tally.counts
        yield CounterMetricFamily(f"{PREFIX}_due", "Requests that had their time.", counts.due)
        yield CounterMetricFamily(f"{PREFIX}_sent", "Requests that went out.", counts.sent)
        yield CounterMetricFamily(f"{PREFIX}_late", "Requests that went out after their time.", counts.late)
        yield CounterMetricFamily(
            f"{PREFIX}_dropped", "Requests not sent, as too many were in flight.", counts.dropped
        )
        yield GaugeMetricFamily(f"{PREFIX}_inflight", "Requests without an answer yet.", counts.in_flight)
        yield _labelled("failed", "Requests that failed, by why.", "error_type", tally.failures)
        yield _labelled("answers", "Answers, by container.", "container", tally.upstreams)
        yield _durations(tally)


def _labelled(name: str, help_text: str, label: str, counts: dict[str, int]) -> Metric:
    metric = CounterMetricFamily(f"{PREFIX}_{name}", help_text, labels=[label])
    for value, count in sorted(counts.items()):
        metric.add_metric([value], count)
    return metric


def _durations(tally: Tally) -> Metric:
    metric = HistogramMetricFamily(
        f"{PREFIX}_duration_seconds", "From when a request was due to its answer; without the failed ones."
    )
    buckets, sum_s = _buckets(tally)
    metric.add_metric([], buckets, sum_s)
    return metric


def _buckets(tally: Tally) -> tuple[list[Bucket], float]:
    """Return cumulative counts with the slowest call of each bucket as its exemplar, and the sum."""
    bounds = (*BOUNDS_S, math.inf)
    counts, sum_s = [0] * len(bounds), 0.0
    for step in tally.histogram.get_recorded_iterator():
        value_s = step.value_iterated_to / 1e6
        sum_s += value_s * step.count_at_value_iterated_to
        counts[_bucket_of(value_s)] += step.count_at_value_iterated_to
    slowest: dict[int, Exemplar] = {}
    for slow in sorted(tally.slowest):
        if slow.status == OK:
            value_s = slow.latency_ms / 1000
            slowest[_bucket_of(value_s)] = Exemplar({"trace_id": slow.trace_id}, value_s)
    buckets: list[Bucket] = []
    for index, (bound, total) in enumerate(zip(bounds, accumulate(counts), strict=True)):
        le = "+Inf" if math.isinf(bound) else str(bound)
        buckets.append((le, total, slowest[index]) if index in slowest else (le, total))
    return buckets, sum_s


def _bucket_of(value_s: float) -> int:
    return next((index for index, bound in enumerate(BOUNDS_S) if value_s <= bound), len(BOUNDS_S))
