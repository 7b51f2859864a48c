"""There is no such model."""

from harness.simulator.faults.fault import MODEL, Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="model_not_found",
    fault_class="permanent",
    problems={
        "openai": WireProblem(
            status=404,
            type="invalid_request_error",
            code="model_not_found",
            message=f"The model `{MODEL}` does not exist or you do not have access to it.",
        ),
        "anthropic": WireProblem(status=404, type="not_found_error", message=f"model: {MODEL}"),
        "bedrock": WireProblem(
            status=404,
            type="ResourceNotFoundException",
            message="Could not resolve the foundation model from the provided model identifier.",
        ),
        "azure": WireProblem(
            status=404,
            type="invalid_request_error",
            code="DeploymentNotFound",
            message=(
                "The API deployment for this resource does not exist. If you created the deployment within "
                "the last 5 minutes, please wait a moment and try again."
            ),
        ),
        "gemini": WireProblem(
            status=404,
            type="NOT_FOUND",
            message=(
                f"models/{MODEL} is not found for API version v1beta, or is not supported for "
                "generateContent. Call ListModels to see the list of available models and their supported "
                "methods."
            ),
        ),
    },
)
