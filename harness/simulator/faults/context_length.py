"""The conversation doesn't fit the model's context."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="context_length",
    fault_class="permanent",
    problems={
        "openai": WireProblem(
            status=400,
            type="invalid_request_error",
            code="context_length_exceeded",
            message="This model's maximum context length is exceeded by your messages.",
        ),
        "anthropic": WireProblem(status=400, type="invalid_request_error", message="prompt is too long"),
        "bedrock": WireProblem(
            status=400, type="ValidationException", message="Input is too long for requested model."
        ),
        "gemini": WireProblem(
            status=400,
            type="INVALID_ARGUMENT",
            message="The input token count exceeds the maximum number of tokens allowed.",
        ),
    },
)
