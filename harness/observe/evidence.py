"""What a check looks at in production, and the line that an agent lacks where it is not there."""

from __future__ import annotations

from typing import Final

from harness.judge.evidence import Evidence
from harness.observe.gathering import ObservedHistory
from harness.records.history import ArmHistory

CAPTURED: Final = "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE=retry-after,retry-after-ms"

CONTAINERS: Final = Evidence(
    what="no span says which container it is from",
    add="let each container set `service.instance.id`, or detect its resource (Kubernetes, container, host)",
    present=lambda history: any(request.container for request in history.requests),
)
MODEL_CALLS: Final = Evidence(
    what="no span tells of a model call",
    add="instrument the framework or the model's client (GenAI, OpenInference, OpenLLMetry, Logfire, ...)",
    present=lambda history: bool(history.journal),
)


def _http(history: ArmHistory) -> bool:
    return isinstance(history, ObservedHistory) and history.http > 0


ATTEMPTS: Final = Evidence(
    what="no span tells of the HTTP requests of model calls, so that nobody sees what an SDK tries again",
    add="instrument the HTTP client below the SDK, such as `HTTPXClientInstrumentor().instrument()`",
    present=_http,
)
RETRY_AFTER: Final = Evidence(
    what="no span has the Retry-After of an answer",
    add=f"set {CAPTURED} where HTTP clients are instrumented",
    present=lambda history: any(row.retry_after_s is not None for row in history.journal),
)
LIMIT: Final = Evidence(
    what="how many requests a container may work on at once is not known, only how many it did at the most",
    add="give `--limits concurrency-limit=N`",
    present=lambda history: "concurrency_limit" not in history.facts.learnt,
)
WAITS: Final = Evidence(
    what="no caller's or balancer's span is above those of the containers, so that no wait is seen",
    add="let the balancer or the caller send its spans to the same store, and pass `traceparent` on",
    present=lambda history: any(
        request.server is not None and request.row.span_id != request.server.span_id
        for request in history.requests
    ),
)
SESSIONS: Final = Evidence(
    what="no span tells its session",
    add="set `session.id` or `gen_ai.conversation.id` on the request's or the Agent's span",
    present=lambda history: any(request.row.session_id for request in history.requests),
)
FIRST_TOKENS: Final = Evidence(
    what="no span tells when a model's first token was there",
    add="stream the answer, and set `gen_ai.response.time_to_first_chunk` on the model call's span",
    present=lambda history: any(request.row.first_token_s is not None for request in history.requests),
)
