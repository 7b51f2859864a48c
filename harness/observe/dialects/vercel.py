"""Vercel's AI SDK: `ai.generateText` is the Agent at work, each `doGenerate` below it a call of the model."""

from __future__ import annotations

from typing import Final

from harness.observe.dialects import values
from harness.records.observed import Invocation, ModelCall, Part, ToolCall
from harness.records.seen import Span

CALLS: Final = (".doGenerate", ".doStream", ".doEmbed")
SESSIONS: Final = ("ai.telemetry.metadata.sessionId", "ai.telemetry.metadata.session_id", "session.id")
MS: Final = 1e3


def read(span: Span) -> Part | None:
    """Return what a span of the AI SDK tells, None where it is none."""
    operation = values.text(span, "ai.operationId")
    if operation is None:
        return None
    if operation == "ai.toolCall":
        return ToolCall(error=values.error(span), tool=values.text(span, "ai.toolCall.name") or "")
    if not operation.endswith(CALLS):
        return Invocation(error=values.error(span), session=values.text(span, *SESSIONS))
    first_ms = values.number(span, "ai.response.msToFirstChunk", "ai.stream.msToFirstChunk")
    return ModelCall(
        error=values.error(span),
        provider=values.text(span, "gen_ai.provider.name", "gen_ai.system", "ai.model.provider") or "",
        model=values.text(span, "gen_ai.request.model", "ai.model.id") or "",
        session=values.text(span, *SESSIONS),
        status=values.status_in_words(span),
        first_token_s=None if first_ms is None else first_ms / MS,
        tokens_in=values.whole(
            span, "gen_ai.usage.input_tokens", "ai.usage.promptTokens", "ai.usage.inputTokens"
        ),
        tokens_out=values.whole(
            span, "gen_ai.usage.output_tokens", "ai.usage.completionTokens", "ai.usage.outputTokens"
        ),
    )
