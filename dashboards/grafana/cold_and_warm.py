"""*Cold and warm*: is each client built once a container, and who waits for it?"""

from __future__ import annotations

from dashboards.grafana.fleet import HERE, WORK
from dashboards.grafana.model import Dashboard, Link, Panel, Query, Unit, Variable

INIT = "agentrig_client_init_duration_seconds"
AGE = f'(time() - process_start_time_seconds{{job="agent", {HERE}}})'


def _by_age(comparison: str, legend: str) -> Query:
    requests = (
        "sum by (instance, le) "
        f"(rate(http_server_request_duration_seconds_bucket{{{WORK}}}[$__rate_interval]))"
    )
    of_age = f"{requests} and on (instance) {AGE} {comparison} $warm_after"
    return Query(f"histogram_quantile(0.95, sum by (le) ({of_age}))", legend)


PANELS = (
    Panel(
        title="Clients built",
        description=(
            "Since each container started. One per client and container is right; a slope is a client "
            "per request."
        ),
        unit=Unit.COUNT,
        queries=(Query(f"{INIT}_count{{{HERE}}}", "{{instance}} {{agentrig_client_name}}"),),
        link=Link("Cold requests in Jaeger", "tags=%7B%22agentrig.client.state%22%3A%22cold%22%7D"),
    ),
    Panel(
        title="What building takes",
        description="Mean time to build each kind of client, since the containers started.",
        unit=Unit.SECONDS,
        queries=(
            Query(
                f"sum by (agentrig_client_name) ({INIT}_sum{{{HERE}}}) "
                f"/ sum by (agentrig_client_name) ({INIT}_count{{{HERE}}})",
                "{{agentrig_client_name}}",
            ),
        ),
    ),
    Panel(
        title="Clients built per request",
        description=(
            "Since the containers started: it falls towards 0 when clients are shared, and stays at 1 "
            "when not."
        ),
        unit=Unit.SHARE,
        queries=(
            Query(
                f'sum by (instance) ({INIT}_count{{agentrig_client_name="llm", {HERE}}}) '
                f"/ sum by (instance) (http_server_request_duration_seconds_count{{{WORK}}})",
                "{{instance}}",
            ),
        ),
    ),
    Panel(
        title="p95 of young and of warm containers",
        description=(
            "Young ones started less than `warm after` ago; what lies between the lines is the price of "
            "a start."
        ),
        unit=Unit.SECONDS,
        queries=(_by_age("<", "young"), _by_age(">=", "warm")),
    ),
    Panel(
        title="Age of containers",
        description=(
            "Time since each container started; a fall to 0 is a restart, after which it is cold again."
        ),
        unit=Unit.SECONDS,
        queries=(Query(AGE, "{{instance}}"),),
    ),
    Panel(
        title="Slowest build so far",
        description="Upper end of the histogram's bucket that holds 99 of 100 builds, per kind of client.",
        unit=Unit.SECONDS,
        queries=(
            Query(
                f"histogram_quantile(0.99, sum by (agentrig_client_name, le) ({INIT}_bucket{{{HERE}}}))",
                "{{agentrig_client_name}}",
            ),
        ),
    ),
)

COLD_AND_WARM = Dashboard(
    name="cold-and-warm",
    title="agentrig: Cold and warm",
    description="Is each client built once a container, and who waits for it?",
    panels=PANELS,
    variables=(Variable(name="warm_after", label="warm after (s)", default="60"),),
)
