"""The request itself is wrong."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="bad_request",
    fault_class="permanent",
    problems={
        "openai": WireProblem(
            status=400, type="invalid_request_error", code="invalid_value", message="Invalid request."
        ),
        "anthropic": WireProblem(
            status=400, type="invalid_request_error", message="messages: the request is invalid."
        ),
        "bedrock": WireProblem(
            status=400, type="ValidationException", message="The input fails the constraints of the service."
        ),
        "gemini": WireProblem(
            status=400,
            type="INVALID_ARGUMENT",
            message="Request contains an invalid argument.",
        ),
    },
)
