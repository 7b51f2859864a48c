"""Something broke inside the provider."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="server_error",
    fault_class="transient",
    problems={
        "openai": WireProblem(
            status=500, type="server_error", message="The server had an error while processing your request."
        ),
        "anthropic": WireProblem(status=500, type="api_error", message="Internal server error"),
        "bedrock": WireProblem(
            status=500,
            type="InternalServerException",
            message="An internal server error occurred. Retry your request.",
        ),
        "gemini": WireProblem(
            status=500,
            type="INTERNAL",
            message="An internal error has occurred. Please retry.",
        ),
    },
)
