"""*Production*: what `agentrig observe --every` found in the traces of a system that runs."""

from __future__ import annotations

from dashboards.grafana.model import Dashboard, Link, Panel, Query, Unit, Variable

MINE = 'service=~"$service"'
SERVICE = Variable(name="service", label="service", query="label_values(agentrig_observe_verdict, service)")


def _figure(name: str, legend: str = "{{service}}") -> Query:
    return Query(f"agentrig_observe_{name}{{{MINE}}}", legend)


PANELS = (
    Panel(
        title="Checks that fell short",
        description="In the newest window. Above zero, the panel below names them.",
        unit=Unit.COUNT,
        queries=(Query(f'sum(agentrig_observe_check{{verdict="fail", {MINE}}})', "fell short"),),
        width=6,
        kind="stat",
        limit=1,
    ),
    Panel(
        title="Checks that held",
        description="In the newest window. What the store hides, or what was too rare, is not among them.",
        unit=Unit.COUNT,
        queries=(Query(f'sum(agentrig_observe_check{{verdict="pass", {MINE}}})', "held"),),
        width=6,
        kind="stat",
    ),
    Panel(
        title="Requests of the window",
        description="As many were seen in the time that is looked back.",
        unit=Unit.COUNT,
        queries=(Query(f"sum(agentrig_observe_requests{{{MINE}}})", "requests"),),
        width=6,
        kind="stat",
    ),
    Panel(
        title="Age of the newest window",
        description="Older than some intervals: the watch hangs, or it has ended.",
        unit=Unit.SECONDS,
        queries=(Query("time() - agentrig_observe_last_window_timestamp_seconds", "age"),),
        width=6,
        kind="stat",
    ),
    Panel(
        title="Verdicts of checks",
        description="Each check by its verdict, window by window: fell short is 2, unknown 1, held 0.",
        unit=Unit.COUNT,
        queries=(
            Query(
                "max by (service, check) "
                f'(2 * agentrig_observe_check{{verdict="fail", {MINE}}} or ignoring (verdict) '
                f'agentrig_observe_check{{verdict="unknown", {MINE}}})',
                "{{service}} {{check}}",
            ),
        ),
        width=24,
        limit=2,
        link=Link("Traces of the service in Jaeger", "", service="${service}"),
    ),
    Panel(
        title="Latency of the successes",
        description="From the caller's or balancer's span, where there is one; else from the container's.",
        unit=Unit.SECONDS,
        queries=(_figure("latency_seconds", "{{service}} p{{quantile}}"),),
        link=Link("Requests above 1 s in Jaeger", "minDuration=1s", service="${service}"),
    ),
    Panel(
        title="Share of requests that failed",
        description="What the caller did wrong is not among them, but for 408, 425 and 429.",
        unit=Unit.SHARE,
        queries=(
            Query(
                f"agentrig_observe_errors{{{MINE}}} / (agentrig_observe_requests{{{MINE}}} > 0)",
                "{{service}}",
            ),
        ),
    ),
    Panel(
        title="Attempts per model call",
        description="1 when nothing is tried again. Seen where the HTTP client of the model is instrumented.",
        unit=Unit.COUNT,
        queries=(_figure("attempts_per_call"),),
        limit=1.2,
    ),
    Panel(
        title="Containers",
        description="Heard of within the window.",
        unit=Unit.COUNT,
        queries=(_figure("containers"),),
    ),
    Panel(
        title="Windows by verdict",
        description="How many windows held, fell short or were unknown since the watch began.",
        unit=Unit.COUNT,
        queries=(Query("sum by (verdict) (agentrig_observe_windows_total)", "{{verdict}}"),),
    ),
    Panel(
        title="What a look takes",
        description="To read and judge a window. Near the interval, look less often or at a shorter time.",
        unit=Unit.SECONDS,
        queries=(
            Query("agentrig_observe_look_seconds", "look"),
            Query("agentrig_observe_every_seconds", "interval"),
        ),
    ),
)

PRODUCTION = Dashboard(
    name="production",
    title="agentrig: Production",
    description="Does what runs keep what a bench would ask of it?",
    panels=PANELS,
    variables=(SERVICE,),
    of_containers=False,
)
