"""Too many tokens: come back later."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="rate_limit_tokens",
    fault_class="transient",
    problems={
        "openai": WireProblem(
            status=429,
            type="tokens",
            code="rate_limit_exceeded",
            message="Rate limit reached for tokens per minute. Please try again later.",
        ),
        "anthropic": WireProblem(
            status=429,
            type="rate_limit_error",
            message="This request would exceed your rate limit for tokens per minute.",
        ),
        "bedrock": WireProblem(
            status=429,
            type="ThrottlingException",
            message="Too many tokens, please wait before trying again.",
        ),
        "azure": WireProblem(
            status=429,
            type="tokens",
            code="429",
            message="Requests to this operation have exceeded the token rate limit of your pricing tier.",
        ),
        "gemini": WireProblem(
            status=429,
            type="RESOURCE_EXHAUSTED",
            message="You exceeded your current quota: too many input tokens per minute. Please retry later.",
            details=(
                {
                    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                    "violations": [{"quotaId": "GenerateContentInputTokensPerModelPerMinute"}],
                },
            ),
        ),
    },
)
