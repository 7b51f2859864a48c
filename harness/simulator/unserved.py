"""What is not served, told in the words of the provider whose client asks for it."""

from __future__ import annotations

from harness.simulator import draws
from harness.simulator.wire import PROTOCOLS
from harness.simulator.wire.bedrock_http import CREDENTIAL
from harness.simulator.wire.protocol import Headers, Received, Wire, WireProblem

NOT_FOUND = 404
KNOWN = (
    "POST /v1/chat/completions, /v1/responses, /v1/embeddings, the same below /openai/deployments/{name} and "
    "/openai/v1, /v1/messages, /v1/messages/count_tokens, /model/{id}/ with converse, converse-stream, "
    "invoke, invoke-with-response-stream or count-tokens, /v1beta/models/{name}: with generateContent, "
    "streamGenerateContent or countTokens, /oauth/token; GET /v1/models, /sim/docs, /healthz, /metrics"
)
_TYPES = {
    "openai": "invalid_request_error",
    "azure": "invalid_request_error",
    "anthropic": "not_found_error",
    "bedrock": "UnknownOperationException",
    "gemini": "NOT_FOUND",
}
_PATHS = (
    ("azure", ("/openai/",)),
    ("anthropic", ("/v1/messages", "/v1/complete")),
    ("bedrock", ("/model/", "/async-invoke", "/guardrail")),
    ("gemini", ("/v1beta", "/v1alpha", "/v1/models/", "/v1/projects/", "/v1/publishers/")),
)
"""How the paths of a provider begin; any other one is OpenAI's, unless a header says whose client it is."""
_HEADERS = (("azure", b"api-key"), ("anthropic", b"anthropic-version"), ("gemini", b"x-goog-api-key"))


def not_found(method: str, path: str, headers: Received) -> tuple[Headers, bytes]:
    """Return headers and body of the error that says that a path is not served.

    Args:
        method: that was asked with.
        path: that was asked for.
        headers: of the request.
    """
    wire = _wire_of(path, headers)
    asked = f"{method} {path}"
    problem = WireProblem(
        status=NOT_FOUND,
        type=_TYPES[wire.provider],
        message=f"Invalid URL ({asked:.200}): no such path; there are {KNOWN}",
        code="404" if wire.provider == "azure" else None,
    )
    request_id = draws.call_id("", asked)
    told, body = wire.error(problem, request_id)
    return [*told, *wire.id_headers(request_id)], body


def _wire_of(path: str, headers: Received) -> Wire:
    provider = "bedrock" if CREDENTIAL.match(headers.get(b"authorization", b"")) else None
    provider = provider or next((name for name, header in _HEADERS if header in headers), None)
    provider = provider or next((name for name, begins in _PATHS if path.startswith(begins)), "openai")
    return next(wire for make in PROTOCOLS if (wire := make()).provider == provider)
