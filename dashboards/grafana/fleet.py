"""*Fleet*: is it up to its load, and does the load go where there is room?"""

from __future__ import annotations

from dashboards.grafana.model import Dashboard, Link, Panel, Query, Unit

PUBLIC = 'envoy_http_conn_manager_prefix="public"'
GATE = 'envoy_cluster_name="gate"'
AGENTS = 'envoy_cluster_name="agents"'
HERE = 'instance=~"$container"'
INVOCATIONS = f'http_route="/invocations", {HERE}'
WORK = f'{INVOCATIONS}, http_response_status_code!="503"'
"""Requests that were taken up: a refusal at the limit is quick, and no work."""


def _callers_wait(quantile: float) -> Query:
    return Query(
        f"histogram_quantile({quantile}, sum by (le) "
        f"(rate(envoy_http_downstream_rq_time_bucket{{{PUBLIC}}}[$__rate_interval]))) / 1000",
        f"p{quantile * 100:.0f}",
    )


NOW = (
    Panel(
        title="Requests",
        description="Requests per second that the balancer answered, over the last minute.",
        unit=Unit.PER_SECOND,
        queries=(Query("fleet:requests:rate1m", "requests"),),
        width=6,
        kind="stat",
    ),
    Panel(
        title="Errors",
        description="Share of the requests that got a 5xx, over the last minute.",
        unit=Unit.SHARE,
        queries=(Query("fleet:request_errors:ratio1m", "errors"),),
        width=6,
        kind="stat",
        limit=0.01,
    ),
    Panel(
        title="p99",
        description=(
            "99 of 100 callers waited no longer, over the last minute; red above the limit of the alert."
        ),
        unit=Unit.SECONDS,
        queries=(Query("fleet:request_duration_seconds:p99_1m", "p99"),),
        width=6,
        kind="stat",
        limit=5.0,
    ),
    Panel(
        title="Busy",
        description="Share of the last minute in which a container had no slot free, on average over all.",
        unit=Unit.SHARE,
        queries=(Query("avg(instance:busy:avg1m)", "busy"),),
        width=6,
        kind="stat",
        limit=0.9,
    ),
)

OVER_TIME = (
    Panel(
        title="Answers by status",
        description="What callers got from the balancer. 5xx are refusals of a full gate, or failures.",
        unit=Unit.PER_SECOND,
        queries=(
            Query(
                "sum by (envoy_response_code_class) "
                f"(rate(envoy_http_downstream_rq_xx{{{PUBLIC}}}[$__rate_interval]))",
                "{{envoy_response_code_class}}xx",
            ),
        ),
        link=Link(
            "Failed requests in Jaeger", "tags=%7B%22agentrig.request.ok%22%3A%22false%22%7D", "locust"
        ),
    ),
    Panel(
        title="How long callers wait",
        description=(
            "From the balancer's view, the wait in its gate included; the limit is that of the alert."
        ),
        unit=Unit.SECONDS,
        queries=(
            _callers_wait(0.5),
            _callers_wait(0.95),
            _callers_wait(0.99),
            Query("fleet:p99_limit_seconds", "limit"),
        ),
        link=Link("Requests above 1 s in Jaeger", "minDuration=1s", "envoy"),
    ),
    Panel(
        title="In work against the limit",
        description=(
            "Requests that each container works on, and its slots. A line at its limit is a busy container."
        ),
        unit=Unit.COUNT,
        queries=(
            Query(f"agentrig_inflight{{{HERE}}}", "{{instance}}"),
            Query(f"max(agentrig_inflight_limit{{{HERE}}})", "limit"),
        ),
    ),
    Panel(
        title="Waiting in the gate",
        description=(
            "Requests that wait in the balancer, first come first served, because every slot is taken."
        ),
        unit=Unit.COUNT,
        queries=(Query(f"sum(envoy_cluster_upstream_rq_pending_active{{{GATE}}})", "waiting"),),
    ),
    Panel(
        title="Busy share",
        description="Share of the time without a free slot. Far apart, the balancer doesn't spread the work.",
        unit=Unit.SHARE,
        queries=(Query(f"avg_over_time(agentrig_busy{{{HERE}}}[$__rate_interval])", "{{instance}}"),),
    ),
    Panel(
        title="Refusals",
        description=(
            "Requests that a container refused at its limit; the balancer offers them to another one."
        ),
        unit=Unit.PER_SECOND,
        queries=(Query(f"rate(agentrig_rejections_total{{{HERE}}}[$__rate_interval])", "{{instance}}"),),
    ),
)

PER_CONTAINER = (
    Panel(
        title="Requests per container",
        description=(
            "Requests that each container ended, refusals left out. Counts may be even while the work is "
            "not: see busy share."
        ),
        unit=Unit.PER_SECOND,
        queries=(
            Query(
                "sum by (instance) "
                f"(rate(http_server_request_duration_seconds_count{{{WORK}}}[$__rate_interval]))",
                "{{instance}}",
            ),
        ),
    ),
    Panel(
        title="p95 inside each container",
        description="From a request's arrival in the container to its answer: without the wait in the gate.",
        unit=Unit.SECONDS,
        queries=(
            Query(
                "histogram_quantile(0.95, sum by (instance, le) "
                f"(rate(http_server_request_duration_seconds_bucket{{{WORK}}}[$__rate_interval])))",
                "{{instance}}",
            ),
        ),
    ),
    Panel(
        title="CPU",
        description=(
            "Cores in use. A container that waits for its model needs little; a full core means too "
            "many slots."
        ),
        unit=Unit.CORES,
        queries=(
            Query(
                f'rate(process_cpu_seconds_total{{job="agent", {HERE}}}[$__rate_interval])', "{{instance}}"
            ),
        ),
        width=8,
    ),
    Panel(
        title="Memory",
        description="Resident memory. It levels off: a container keeps clients, but no conversation.",
        unit=Unit.BYTES,
        queries=(Query(f'process_resident_memory_bytes{{job="agent", {HERE}}}', "{{instance}}"),),
        width=8,
    ),
    Panel(
        title="Containers",
        description="Containers that the balancer knows of, and those of them that accept connections.",
        unit=Unit.COUNT,
        queries=(
            Query(f"max(envoy_cluster_membership_total{{{AGENTS}}})", "known"),
            Query(f"max(envoy_cluster_membership_healthy{{{AGENTS}}})", "reachable"),
        ),
        width=8,
    ),
)

FLEET = Dashboard(
    name="fleet",
    title="agentrig: Fleet",
    description="Is the fleet up to its load, and does the load go where there is room?",
    panels=(*NOW, *OVER_TIME, *PER_CONTAINER),
)
