"""The model took too long."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import Problem

FAULT = Refusal(
    kind="model_timeout",
    fault_class="transient",
    problems={
        "openai": Problem(
            status=408, type="server_error", code="request_timeout", message="Request timed out."
        ),
        "anthropic": Problem(status=504, type="timeout_error", message="Request timed out."),
        "bedrock": Problem(
            status=408, type="ModelTimeoutException", message="The request took too long to process."
        ),
    },
)
