"""The key is right, and may not do this."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="forbidden",
    fault_class="permanent",
    problems={
        "openai": WireProblem(
            status=403,
            type="invalid_request_error",
            code="permission_denied",
            message="You are not allowed to use this model.",
        ),
        "anthropic": WireProblem(
            status=403,
            type="permission_error",
            message="Your API key does not have permission to use this resource.",
        ),
        "bedrock": WireProblem(
            status=403,
            type="AccessDeniedException",
            message="You don't have access to the model with the specified model ID.",
        ),
        "gemini": WireProblem(
            status=403,
            type="PERMISSION_DENIED",
            message="The caller does not have permission.",
        ),
    },
)
