"""Google's Agent Development Kit: `call_llm` and `invocation` beside the GenAI names."""

from __future__ import annotations

from dataclasses import replace

from harness.observe.dialects import genai, values
from harness.records.observed import Invocation, ModelCall, Part, ToolCall
from harness.records.seen import Span

SESSIONS = ("gcp.vertex.agent.session_id", "gen_ai.conversation.id")


def read(span: Span) -> Part | None:
    """Return what a span of ADK tells, None where it is none of these."""
    if not span.scope.startswith(("gcp.vertex.agent", "google.adk")):
        return None
    if span.name == "call_llm":
        return replace(genai.call(span), level="framework", session=values.text(span, *SESSIONS))
    if span.name.startswith(("invocation", "agent_run", "invoke_agent", "invoke_workflow", "invoke_node")):
        return Invocation(error=values.error(span), session=values.text(span, *SESSIONS))
    if span.name.startswith("execute_tool"):
        tool = values.text(span, "gen_ai.tool.name") or span.name.partition(" ")[2]
        return ToolCall(error=values.error(span), tool=tool)
    part = genai.read(span)
    return part if isinstance(part, ModelCall | ToolCall) else None
