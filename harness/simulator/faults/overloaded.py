"""The provider has too much to do, whoever asks."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="overloaded",
    fault_class="transient",
    problems={
        "openai": WireProblem(
            status=503,
            type="server_error",
            code="overloaded",
            message="The engine is currently overloaded, please try again later.",
        ),
        "anthropic": WireProblem(status=529, type="overloaded_error", message="Overloaded"),
        "bedrock": WireProblem(
            status=503,
            type="ServiceUnavailableException",
            message="The service is temporarily unable to handle the request.",
        ),
        "gemini": WireProblem(
            status=503,
            type="UNAVAILABLE",
            message="The model is overloaded. Please try again later.",
        ),
    },
)
