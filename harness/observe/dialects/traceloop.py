"""OpenLLMetry (Traceloop): `llm.request.type` and `traceloop.span.kind`, beside older GenAI names."""

from __future__ import annotations

from typing import Final

from harness.observe.dialects import genai, values
from harness.records.observed import Invocation, Part, ToolCall
from harness.records.seen import Span

CALLS: Final = {"chat", "completion", "embedding", "embeddings"}


def read(span: Span) -> Part | None:
    """Return what a span of OpenLLMetry tells, None where it is none of these."""
    if values.text(span, "llm.request.type") in CALLS:
        return genai.call(span)
    kind = values.text(span, "traceloop.span.kind")
    if kind in {"agent", "workflow"}:
        return Invocation(
            error=values.error(span), session=values.text(span, "traceloop.association.properties.session_id")
        )
    if kind == "tool":
        return ToolCall(
            error=values.error(span), tool=values.text(span, "traceloop.entity.name") or span.name
        )
    return None
