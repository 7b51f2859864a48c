"""What the simulator counts, in the text format of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from harness.simulator.serve import ModelSimulator

PREFIX = "agentrig_simulator"


class Metrics(Collector):
    """Reads the simulator's own counts when it is asked; the calls pay nothing for it.

    Args:
        simulator: whose counts.
    """

    def __init__(self, simulator: ModelSimulator) -> None:
        self._simulator = simulator
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """Return the page."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield each metric."""
        counts = self._simulator.journal.counts
        calls = CounterMetricFamily(
            f"{PREFIX}_requests",
            "Calls served, by what was decided.",
            labels=["protocol", "decision", "stream"],
        )
        served = dict.fromkeys(counts.seconds, 0)
        for (protocol, decision, stream), count in sorted(counts.calls.items()):
            calls.add_metric([protocol, decision, str(stream).lower()], count)
            served[protocol] += count
        yield calls
        took = SummaryMetricFamily(
            f"{PREFIX}_duration_seconds", "Time from arrival to the last byte.", labels=["protocol"]
        )
        for protocol, seconds in sorted(counts.seconds.items()):
            took.add_metric([protocol], served[protocol], seconds)
        yield took
        yield GaugeMetricFamily(f"{PREFIX}_in_work", "Calls in work now.", self._simulator.in_work)
        yield CounterMetricFamily(f"{PREFIX}_sent_bytes", "Bytes of bodies sent.", counts.bytes_sent)
        yield CounterMetricFamily(f"{PREFIX}_tokens", "Tokens of whole answers.", counts.tokens)
        yield CounterMetricFamily(f"{PREFIX}_callers_gone", "Callers that hung up early.", counts.gone)
