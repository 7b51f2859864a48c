"""The day's quota is used up: permanent for hours, though it looks like what a short wait mends."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="daily_quota",
    fault_class="permanent",
    problems={
        "openai": WireProblem(
            status=429,
            type="requests",
            code="rate_limit_exceeded",
            message="Rate limit reached on requests per day (RPD). Please try again in 7h12m0s.",
        ),
        "azure": WireProblem(
            status=429,
            type="requests",
            code="429",
            message="Requests to this operation have exceeded the rate limit per day of your pricing tier.",
        ),
        "anthropic": WireProblem(
            status=429,
            type="rate_limit_error",
            message="This request would exceed your daily rate limit. Please try again tomorrow.",
        ),
        "bedrock": WireProblem(
            status=429,
            type="ThrottlingException",
            message="Too many tokens per day, please wait before trying again.",
        ),
        "gemini": WireProblem(
            status=429,
            type="RESOURCE_EXHAUSTED",
            message="You exceeded your current quota: requests per day. Please check your plan.",
            details=(
                {
                    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}],
                },
            ),
        ),
    },
)
