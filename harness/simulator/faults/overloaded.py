"""The provider has too much to do, whoever asks."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import Problem

FAULT = Refusal(
    kind="overloaded",
    fault_class="transient",
    problems={
        "openai": Problem(
            status=503,
            type="server_error",
            code="overloaded",
            message="The engine is currently overloaded, please try again later.",
        ),
        "anthropic": Problem(status=529, type="overloaded_error", message="Overloaded"),
        "bedrock": Problem(
            status=503,
            type="ServiceUnavailableException",
            message="The service is temporarily unable to handle the request.",
        ),
    },
)
