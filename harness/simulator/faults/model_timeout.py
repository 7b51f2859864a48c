"""The model took too long."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="model_timeout",
    fault_class="transient",
    problems={
        "openai": WireProblem(
            status=408, type="server_error", code="request_timeout", message="Request timed out."
        ),
        "anthropic": WireProblem(status=504, type="timeout_error", message="Request timed out."),
        "bedrock": WireProblem(
            status=408, type="ModelTimeoutException", message="The request took too long to process."
        ),
        "gemini": WireProblem(
            status=504,
            type="DEADLINE_EXCEEDED",
            message="Deadline expired before the operation could complete.",
        ),
    },
)
