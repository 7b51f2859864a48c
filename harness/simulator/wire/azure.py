"""Azure OpenAI: OpenAI's protocols below other paths, with keys, headers and words of its own."""

from __future__ import annotations

import math
import re
from urllib.parse import unquote
from uuid import UUID

from pydantic_core import to_json

from harness.simulator import draws
from harness.simulator.quota import QuotaVerdict
from harness.simulator.wire.openai_chat import OpenAIChat
from harness.simulator.wire.openai_embeddings import OpenAIEmbeddings
from harness.simulator.wire.openai_http import JSON, OpenAIHttp, error_of
from harness.simulator.wire.openai_responses import OpenAIResponses
from harness.simulator.wire.protocol import Headers, Received, WireProblem

_THROTTLED = 429


class _AzureHttp(OpenAIHttp):
    """Azure's way with paths, keys, errors and headers.

    A deployment in the path is the model; without one, on the paths of its `v1`, the body names it.
    """

    provider = "azure"
    path: re.Pattern[str]

    def serves(self, path: str) -> bool:
        """Return whether a path is this protocol's."""
        return self.path.match(path) is not None

    def key(self, headers: Received) -> str:
        """Return the API key, or the bearer token."""
        return headers.get(b"api-key", b"").decode("latin-1") or super().key(headers)

    def deployment(self, path: str) -> str | None:
        """Return the deployment that a path names."""
        found = self.path.match(path)
        return unquote(found["deployment"]) if found and found["deployment"] else None

    def error(
        self, problem: WireProblem, _request_id: str, retry_after_s: float | None = None
    ) -> tuple[Headers, bytes]:
        """Write an error; a throttled caller reads there, too, when to come back."""
        body = error_of(problem)
        if problem.status == _THROTTLED and retry_after_s is not None:
            body["message"] += f" Please retry after {math.ceil(retry_after_s)} seconds."
        return [JSON], to_json({"error": body})

    def id_headers(self, request_id: str) -> Headers:
        """Name the request, and the region."""
        name = str(UUID(draws.call_id("uuid", request_id) * 2)).encode()
        return [(b"apim-request-id", name), (b"x-request-id", name), (b"x-ms-region", b"East US")]

    def quota_headers(self, verdict: QuotaVerdict, _now_s: float) -> Headers:
        """Tell what is left of the quota: Azure says no more of it."""
        told = [(b"x-ratelimit-remaining-requests", b"%d" % verdict.requests.remaining)]
        if verdict.tokens is not None:
            told.append((b"x-ratelimit-remaining-tokens", b"%d" % verdict.tokens.remaining))
        return told


def _below(operation: str) -> re.Pattern[str]:
    return re.compile(rf"^/openai/(?:deployments/(?P<deployment>[^/]+)|v1)/{operation}$")


class AzureChat(_AzureHttp, OpenAIChat):
    """Chat completions."""

    name = "azure"
    path = _below("chat/completions")


class AzureResponses(_AzureHttp, OpenAIResponses):
    """Responses; the deployment is the model that the body names, also below `/openai/responses`."""

    name = "azure-responses"
    path = re.compile(r"^/openai/(?:deployments/(?P<deployment>[^/]+)/|v1/)?responses$")


class AzureEmbeddings(_AzureHttp, OpenAIEmbeddings):
    """Embeddings."""

    name = "azure-embeddings"
    path = _below("embeddings")
