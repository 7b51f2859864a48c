"""The metrics of this agent, beyond those of the libraries that it uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from opentelemetry import metrics
from opentelemetry.metrics import Histogram
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

from reference_agent.patterns.busy_signal import BusyState

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Bucket boundaries of every duration. The convention's own for HTTP end at 10 s."""

TOKENS: Final = tuple(float(4**power) for power in range(14))
"""Bucket boundaries of tokens, as the convention has them."""


def views() -> list[View]:
    """Return which buckets are used."""
    seconds = ExplicitBucketHistogramAggregation(SECONDS)
    tokens = ExplicitBucketHistogramAggregation(TOKENS)
    return [
        View(instrument_name="http.server.request.duration", aggregation=seconds),
        View(instrument_name="gen_ai.client.operation.duration", aggregation=seconds),
        View(instrument_name="gen_ai.client.operation.time_to_first_chunk", aggregation=seconds),
        View(instrument_name="gen_ai.client.token.usage", aggregation=tokens),
        View(instrument_name="agentrig.*.duration", aggregation=seconds),
        View(instrument_name="agentrig.retry.delay", aggregation=seconds),
    ]


class Instruments:
    """The instruments, made once for the process.

    Args:
        meter: None for the process's own.
    """

    def __init__(self, meter: metrics.Meter | None = None) -> None:
        meter = meter or metrics.get_meter("reference_agent")
        self._busy_state: BusyState | None = None
        self.init_duration = meter.create_histogram(
            "agentrig.client.init.duration", "s", "how long building a client took"
        )
        self.attempts = meter.create_counter(
            "agentrig.client.attempts", "{attempt}", "model calls by outcome"
        )
        self.retry_delay = meter.create_histogram("agentrig.retry.delay", "s", "backoff before a retry")
        self.operation_duration: Histogram = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "logical model calls, retries included"
        )
        self.first_chunk: Histogram = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "until the first part of a streamed answer"
        )
        self.token_usage: Histogram = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "tokens a call used"
        )
        self._observe_busy_state(meter)

    def busy(self, state: BusyState) -> None:
        """Take the state of the busy signal; it is read when metrics are collected."""
        self._busy_state = state

    def _observe_busy_state(self, meter: metrics.Meter) -> None:
        def observed(read: Callable[[BusyState], int]) -> Callable[[Any], list[metrics.Observation]]:
            return lambda _options: [metrics.Observation(read(self._busy_state))] if self._busy_state else []

        meter.create_observable_up_down_counter(
            "agentrig.inflight", [observed(lambda s: s.in_flight)], description="requests in work"
        )
        meter.create_observable_gauge(
            "agentrig.inflight.limit", [observed(lambda s: s.limit)], description="requests at once, at most"
        )
        meter.create_observable_gauge(
            "agentrig.busy", [observed(lambda s: int(s.busy))], description="1 while no slot is free"
        )
        meter.create_observable_counter(
            "agentrig.rejections", [observed(lambda s: s.rejections)], description="refusals at the limit"
        )
