"""The key is wrong, and stays wrong."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="auth",
    fault_class="permanent",
    problems={
        "openai": WireProblem(
            status=401,
            type="invalid_request_error",
            code="invalid_api_key",
            message="Incorrect API key provided.",
        ),
        "anthropic": WireProblem(status=401, type="authentication_error", message="invalid x-api-key"),
        "bedrock": WireProblem(
            status=403,
            type="UnrecognizedClientException",
            message="The security token included in the request is invalid.",
        ),
        "azure": WireProblem(
            status=401,
            type="invalid_request_error",
            code="401",
            message="Access denied due to invalid subscription key or wrong API endpoint.",
        ),
        "gemini": WireProblem(
            status=400,
            type="INVALID_ARGUMENT",
            message="API key not valid. Please pass a valid API key.",
            details=(
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "API_KEY_INVALID",
                    "domain": "googleapis.com",
                },
            ),
        ),
    },
)
