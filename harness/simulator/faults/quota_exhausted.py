"""What was paid for is used up: waiting doesn't help."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="quota_exhausted",
    fault_class="permanent",
    problems={
        "openai": WireProblem(
            status=429,
            type="insufficient_quota",
            code="insufficient_quota",
            message="You exceeded your current quota, please check your plan and billing details.",
        ),
        "anthropic": WireProblem(
            status=400,
            type="invalid_request_error",
            message="Your credit balance is too low to access the API.",
        ),
        "bedrock": WireProblem(
            status=400,
            type="ServiceQuotaExceededException",
            message="Your request exceeds the service quota for your account.",
        ),
        "gemini": WireProblem(
            status=429,
            type="RESOURCE_EXHAUSTED",
            message="Your prepayment credits are depleted. Please check your plan and billing details.",
        ),
    },
)
