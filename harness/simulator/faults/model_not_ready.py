"""The model is still being loaded."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="model_not_ready",
    fault_class="transient",
    problems={
        "openai": WireProblem(
            status=503,
            type="server_error",
            code="model_not_ready",
            message="The model is currently loading. Please try again later.",
        ),
        "anthropic": WireProblem(
            status=503, type="api_error", message="The model is not ready for inference yet."
        ),
        "bedrock": WireProblem(
            status=429,
            type="ModelNotReadyException",
            message="The model specified in the request is not ready to serve requests.",
        ),
        "gemini": WireProblem(
            status=503,
            type="UNAVAILABLE",
            message="The model is being loaded. Please try again later.",
        ),
    },
)
