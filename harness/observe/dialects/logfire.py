"""Logfire and Pydantic AI: spans of calls are INTERNAL there, and `agent run` is the Agent at work."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from harness.observe.dialects import genai, values
from harness.records.observed import Invocation, ModelCall, Part, ToolCall
from harness.records.seen import Span

AGENT_RUNS: Final = ("agent run", "invoke_agent")
TOOLS: Final = ("running tool", "execute_tool")


def read(span: Span) -> Part | None:
    """Return what a span of Logfire or Pydantic AI tells, None where it is none of these."""
    if span.scope.startswith(("pydantic-ai", "logfire")):
        return _read(span)
    return None


def _read(span: Span) -> Part | None:
    if values.starts(span.name, TOOLS) and not span.name.startswith("running tools"):
        tool = values.text(span, "gen_ai.tool.name") or span.name
        return ToolCall(error=values.error(span), tool=tool)
    part = genai.read(span)
    if isinstance(part, ModelCall) and span.scope.startswith("pydantic-ai"):
        return replace(part, level="framework")
    if part is not None:
        return part
    if values.starts(span.name, AGENT_RUNS):
        return Invocation(error=values.error(span), session=genai.session(span))
    # logfire.instrument_openai before it had the GenAI names
    of_openai = "request_data" in span.attributes and "gen_ai.request.model" in span.attributes
    return genai.call(span) if of_openai else None
