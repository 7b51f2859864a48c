"""The OpenAI Agents SDK, as the instrumentations of its own traces name them."""

from __future__ import annotations

from typing import Final

from harness.observe.dialects import genai, openinference, values
from harness.records.observed import Invocation, Part, ToolCall
from harness.records.seen import Span

SCOPES: Final = ("openinference.instrumentation.openai_agents", "opentelemetry.instrumentation.openai_agents")


def read(span: Span) -> Part | None:
    """Return what a span of the Agents SDK tells, None where it is none of these.

    Its agent and workflow spans are one Agent at work; of a turn the call of the model is what counts.
    """
    if not span.scope.startswith(SCOPES):
        return None
    if (part := openinference.read(span) or genai.read(span)) is not None:
        return part
    kind = values.text(span, "traceloop.span.kind")
    if kind in {"agent", "workflow"}:
        return Invocation(error=values.error(span))
    if kind == "tool":
        return ToolCall(error=values.error(span), tool=values.text(span, "gen_ai.tool.name") or span.name)
    calls = "gen_ai.request.model" in span.attributes or span.name.endswith((".response", ".generation"))
    return genai.call(span) if calls else None
