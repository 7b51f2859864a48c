"""*Throttling and retries*: is the model API's refusal survived, and at what price?"""

from __future__ import annotations

from dashboards.grafana.fleet import HERE, INVOCATIONS
from dashboards.grafana.model import Dashboard, Link, Panel, Query, Unit

CALLS = "gen_ai_client_operation_duration_seconds"
TRIED_AGAIN = Link(
    "Calls with three attempts in Jaeger", "tags=%7B%22agentrig.retry.attempts%22%3A%223%22%7D"
)


def _call_takes(quantile: float) -> Query:
    return Query(
        f"histogram_quantile({quantile}, sum by (le) (rate({CALLS}_bucket{{{HERE}}}[$__rate_interval])))",
        f"p{quantile * 100:.0f}",
    )


def _backoff(quantile: float) -> Query:
    return Query(
        f"histogram_quantile({quantile}, sum by (source, le) "
        f"(rate(agentrig_retry_delay_seconds_bucket{{{HERE}}}[$__rate_interval])))",
        f"p{quantile * 100:.0f} {{{{source}}}}",
    )


PANELS = (
    Panel(
        title="Attempts by outcome",
        description=(
            "Each attempt at the model API as the containers saw it: the last of a call, or one that "
            "was retried."
        ),
        unit=Unit.PER_SECOND,
        queries=(
            Query(
                f"sum by (outcome) (rate(agentrig_client_attempts_total{{{HERE}}}[$__rate_interval]))",
                "{{outcome}}",
            ),
        ),
        link=TRIED_AGAIN,
    ),
    Panel(
        title="Answers of the model API",
        description=(
            "What the simulator decided for each attempt: the ground truth beside what the containers saw."
        ),
        unit=Unit.PER_SECOND,
        queries=(
            Query(
                "sum by (decision) (rate(agentrig_simulator_requests_total[$__rate_interval]))",
                "{{decision}}",
            ),
        ),
    ),
    Panel(
        title="Attempts per call",
        description=(
            "1 when nothing is retried; red above the limit of the alert. The bound is the agents' most "
            "attempts."
        ),
        unit=Unit.COUNT,
        queries=(
            Query(
                f"sum(rate(agentrig_client_attempts_total{{{HERE}}}[$__rate_interval])) / "
                f'sum(rate(agentrig_client_attempts_total{{outcome!="retried", {HERE}}}[$__rate_interval]))',
                "attempts per call",
            ),
            Query("fleet:retry_amplification:ratio1m", "over a minute"),
        ),
        limit=1.2,
    ),
    Panel(
        title="Waits before a retry",
        description="From a jittered backoff, or as the model API's Retry-After asked.",
        unit=Unit.SECONDS,
        queries=(_backoff(0.5), _backoff(0.95)),
    ),
    Panel(
        title="What a model call takes",
        description="Whole calls, their retries and waits included.",
        unit=Unit.SECONDS,
        queries=(_call_takes(0.5), _call_takes(0.95), _call_takes(0.99)),
        link=Link("Requests above 1 s in Jaeger", "minDuration=1s"),
    ),
    Panel(
        title="Answers of the agents",
        description="What became of requests whose calls were throttled. 503 is a refusal at the limit.",
        unit=Unit.PER_SECOND,
        queries=(
            Query(
                "sum by (http_response_status_code) "
                f"(rate(http_server_request_duration_seconds_count{{{INVOCATIONS}}}[$__rate_interval]))",
                "{{http_response_status_code}}",
            ),
        ),
    ),
    Panel(
        title="Calls at the model API now",
        description="In work at the simulator. A sharp peak after a dip is a herd that came back together.",
        unit=Unit.COUNT,
        queries=(Query("agentrig_simulator_in_work", "in work"),),
    ),
    Panel(
        title="Tokens",
        description="Tokens per second that the calls used, as a quota counts them.",
        unit=Unit.COUNT,
        queries=(
            Query(
                "sum by (gen_ai_token_type) "
                f"(rate(gen_ai_client_token_usage_sum{{{HERE}}}[$__rate_interval]))",
                "{{gen_ai_token_type}}",
            ),
        ),
    ),
)

THROTTLING = Dashboard(
    name="throttling-and-retries",
    title="agentrig: Throttling and retries",
    description="Is the model API's refusal survived, and at what price?",
    panels=PANELS,
)
