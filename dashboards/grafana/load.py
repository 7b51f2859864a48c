"""*Load*: was every request sent when it was due, and what did its caller see?"""

from __future__ import annotations

from dashboards.grafana.model import Dashboard, Link, Panel, Query, Unit


def _rate(name: str, legend: str) -> Query:
    return Query(f"sum(rate(agentrig_load_{name}_total[$__rate_interval]))", legend)


def _took(quantile: float, *, exemplars: bool = False) -> Query:
    return Query(
        f"histogram_quantile({quantile}, sum by (le) "
        "(rate(agentrig_load_duration_seconds_bucket[$__rate_interval])))",
        f"p{quantile * 100:.0f}",
        exemplars,
    )


PANELS = (
    Panel(
        title="Due and sent",
        description=(
            "Arrivals are open: requests go out when they are due, however many are unanswered. The "
            "lines lie on each other."
        ),
        unit=Unit.PER_SECOND,
        queries=(_rate("due", "due"), _rate("sent", "sent")),
    ),
    Panel(
        title="Late and dropped",
        description=(
            "Late: sent more than 5 ms after its time. Dropped: never sent, as too many were in flight. "
            "Both should be 0."
        ),
        unit=Unit.PER_SECOND,
        queries=(_rate("late", "late"), _rate("dropped", "dropped")),
        limit=0.5,
    ),
    Panel(
        title="From due to answered",
        description=(
            "Counted from when a request was due, so that no stall hides. A point is one of the "
            "slowest: it opens its trace."
        ),
        unit=Unit.SECONDS,
        queries=(_took(0.5), _took(0.95), _took(0.99, exemplars=True)),
        link=Link("Requests above 1 s in Jaeger", "minDuration=1s", "envoy"),
    ),
    Panel(
        title="Unanswered",
        description="Requests on their way. It grows without end while more is due than the fleet can do.",
        unit=Unit.COUNT,
        queries=(Query("sum(agentrig_load_inflight)", "unanswered"),),
    ),
    Panel(
        title="Failed",
        description="Requests that failed, by why.",
        unit=Unit.PER_SECOND,
        queries=(
            Query(
                "sum by (error_type) (rate(agentrig_load_failed_total[$__rate_interval]))", "{{error_type}}"
            ),
        ),
    ),
    Panel(
        title="Answers by container",
        description="As the balancer's answers tell it.",
        unit=Unit.PER_SECOND,
        queries=(
            Query(
                "sum by (container) (rate(agentrig_load_answers_total[$__rate_interval]))", "{{container}}"
            ),
        ),
    ),
)

LOAD = Dashboard(
    name="load",
    title="agentrig: Load",
    description="Was every request sent when it was due, and what did its caller see?",
    panels=PANELS,
)
