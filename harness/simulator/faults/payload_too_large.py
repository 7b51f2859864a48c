"""The request is larger than the provider reads."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="payload_too_large",
    fault_class="permanent",
    problems={
        "openai": WireProblem(
            status=413,
            type="invalid_request_error",
            code="request_too_large",
            message="The request is too large.",
        ),
        "anthropic": WireProblem(
            status=413, type="request_too_large", message="Request exceeds the maximum size"
        ),
        "bedrock": WireProblem(
            status=413, type="RequestEntityTooLargeException", message="The request entity is too large."
        ),
        "gemini": WireProblem(
            status=413,
            type="INVALID_ARGUMENT",
            message="Request payload size exceeds the limit.",
        ),
    },
)
