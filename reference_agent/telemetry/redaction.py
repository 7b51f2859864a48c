"""Keeps words out of the telemetry: of prompts, answers, tools, headers, addresses and errors.

Only what is listed here is sent. A list of what is secret would miss the name that some library takes
for it next; of this one, what a library adds is left out until somebody has looked at it. Words are
sent only when `AGENT_CAPTURE_MESSAGE_CONTENT` says so, whatever else is in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import Link, Status
from opentelemetry.util.types import AttributeValue
from typing_extensions import override

OPT_IN: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"
CONVENTIONS: Final = ("http", "gen_ai_latest_experimental")
"""The stable names of HTTP, and the newest ones for models: what the harness and the dashboards read."""
UNREDACTED: Final = "gen_ai_unredacted_attributes="
WITHOUT_WORDS: Final = {
    "error.type",
    "exception.type",
    "gen_ai.agent.name",
    "gen_ai.conversation.id",
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.tool.call.id",
    "gen_ai.tool.name",
    "gen_ai.tool.status",
    "http.request.method",
    "http.request.resend_count",
    "http.response.status_code",
    "http.route",
    "jsonrpc.request.id",
    "mcp.method.name",
    "mcp.protocol.version",
    "mcp.session.id",
    "session.id",
    "network.protocol.version",
    "server.address",
    "server.port",
    "url.path",
    "url.scheme",
}
"""Attributes that hold no words. To send one of your own, add it here, or begin its name with `agentrig.`."""
PREFIXES_WITHOUT_WORDS: Final = ("agentrig.", "gen_ai.usage.")


def settle_conventions(*, words: bool) -> None:
    """Say in the environment which names are used; to be called before any library reads it.

    What the operator asks for is kept, but for two things: whether there are old names of HTTP, and
    whether Strands shows words.

    Args:
        words: whether they are shown.
    """
    told = [token.strip() for token in os.environ.get(OPT_IN, "").split(",")]
    kept = [
        token
        for token in told
        if token and not token.startswith("http") and (words or not token.startswith(UNREDACTED))
    ]
    asked = [*CONVENTIONS, *(() if words else (UNREDACTED,))]
    os.environ[OPT_IN] = ",".join(dict.fromkeys([*asked, *kept]))


@lru_cache(1024)
def holds_no_words(name: str) -> bool:
    """Return whether an attribute may be sent."""
    return name in WITHOUT_WORDS or name.startswith(PREFIXES_WITHOUT_WORDS)


def without_words(attributes: Mapping[str, AttributeValue] | None) -> dict[str, AttributeValue]:
    """Return those attributes that may be sent."""
    return {name: value for name, value in (attributes or {}).items() if holds_no_words(name)}


class RedactingSpanProcessor(SpanProcessor):
    """Passes spans on without what may hold words; their names and types stay.

    Args:
        inner: where they go.
    """

    def __init__(self, inner: SpanProcessor) -> None:
        self._inner = inner

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Pass it on."""
        self._inner.on_start(span, parent_context)

    @override
    def on_end(self, span: ReadableSpan) -> None:
        """Pass it on, as a redacted copy where there is something to redact."""
        self._inner.on_end(span if _is_clean(span) else _redacted(span))

    @override
    def shutdown(self) -> None:
        """Pass it on."""
        self._inner.shutdown()

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Pass it on."""
        return self._inner.force_flush(timeout_millis)


def _is_clean(span: ReadableSpan) -> bool:
    if span.status.description or not all(map(holds_no_words, span.attributes or ())):
        return False
    events, links = span.events, span.links
    if not events and not links:
        return True
    beside = [*(event.attributes for event in events), *(link.attributes for link in links)]
    return all(holds_no_words(name) for attributes in beside for name in attributes or ())


def _redacted(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=without_words(span.attributes),
        events=[Event(event.name, without_words(event.attributes), event.timestamp) for event in span.events],
        links=[Link(link.context, without_words(link.attributes)) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
