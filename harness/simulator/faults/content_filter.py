"""What was asked is withheld by a filter, and that is an error."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="content_filter",
    fault_class="permanent",
    problems={
        "openai": WireProblem(
            status=400,
            type="invalid_request_error",
            code="content_filter",
            message="The response was filtered because of the content management policy.",
        ),
        "anthropic": WireProblem(
            status=400, type="invalid_request_error", message="Output blocked by content filtering policy"
        ),
        "bedrock": WireProblem(
            status=400, type="ValidationException", message="The request was blocked by content filters."
        ),
        "gemini": WireProblem(
            status=400,
            type="INVALID_ARGUMENT",
            message="The prompt was blocked by the safety settings.",
        ),
    },
)
