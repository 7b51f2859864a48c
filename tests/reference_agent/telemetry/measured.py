"""What instruments counted, read in this process."""

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from reference_agent.telemetry.instruments import Instruments, views


def measured(record: Any) -> dict[str, list[tuple[dict[str, Any], Any]]]:
    """Return the points by metric of whatever `record(instruments, meter)` counts."""
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader], views=views()).get_meter("test")
    record(Instruments(meter), meter)
    data: Any = reader.get_metrics_data()
    return {
        metric.name: [
            (dict(point.attributes), getattr(point, "value", getattr(point, "count", None)))
            for point in metric.data.data_points
        ]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
