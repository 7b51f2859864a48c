"""Too many requests: come back later."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="rate_limit_requests",
    fault_class="transient",
    problems={
        "openai": WireProblem(
            status=429,
            type="requests",
            code="rate_limit_exceeded",
            message="Rate limit reached for requests per minute. Please try again later.",
        ),
        "anthropic": WireProblem(
            status=429,
            type="rate_limit_error",
            message="This request would exceed your rate limit for requests per minute.",
        ),
        "bedrock": WireProblem(
            status=429,
            type="ThrottlingException",
            message="Too many requests, please wait before trying again.",
        ),
        "azure": WireProblem(
            status=429,
            type="requests",
            code="429",
            message="Requests to this operation have exceeded the request rate limit of your pricing tier.",
        ),
        "gemini": WireProblem(
            status=429,
            type="RESOURCE_EXHAUSTED",
            message="You exceeded your current quota: too many requests per minute. Please retry later.",
            details=(
                {
                    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                    "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}],
                },
            ),
        ),
    },
)
