"""OpenInference (Arize): `openinference.span.kind` says what a span is."""

from __future__ import annotations

from harness.observe.dialects import values
from harness.records.observed import Invocation, ModelCall, Part, ToolCall
from harness.records.seen import Span


def read(span: Span) -> Part | None:
    """Return what a span of OpenInference tells, None where it is none of these."""
    kind = values.text(span, "openinference.span.kind")
    if kind == "LLM":
        asked = values.field(span, "llm.invocation_parameters", "model")
        return ModelCall(
            error=values.error(span),
            provider=values.text(span, "llm.provider", "llm.system") or "",
            model=values.text(span, "llm.model_name") or str(asked or ""),  # the first is the answer's
            session=values.text(span, "session.id"),
            status=values.status_in_words(span),
            tokens_in=values.whole(span, "llm.token_count.prompt"),
            tokens_out=values.whole(span, "llm.token_count.completion"),
        )
    if kind == "AGENT":
        return Invocation(error=values.error(span), session=values.text(span, "session.id"))
    if kind == "TOOL":
        return ToolCall(error=values.error(span), tool=values.text(span, "tool.name") or span.name)
    return None
