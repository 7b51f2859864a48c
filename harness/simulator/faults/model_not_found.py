"""There is no such model."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="model_not_found",
    fault_class="permanent",
    problems={
        "openai": WireProblem(
            status=404,
            type="invalid_request_error",
            code="model_not_found",
            message="The model does not exist or you do not have access to it.",
        ),
        "anthropic": WireProblem(status=404, type="not_found_error", message="model: not found"),
        "bedrock": WireProblem(
            status=404,
            type="ResourceNotFoundException",
            message="The provided model identifier is not found.",
        ),
        "azure": WireProblem(
            status=404,
            type="invalid_request_error",
            code="DeploymentNotFound",
            message="The API deployment for this resource does not exist.",
        ),
        "gemini": WireProblem(
            status=404,
            type="NOT_FOUND",
            message="The model is not found for this API version, or is not supported for it.",
        ),
    },
)
