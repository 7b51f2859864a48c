"""Strands' spans without words, and without what writing them costs.

Strands writes every message of the conversation as JSON, for each of three spans a model call, before it
asks whether any of it is to be shown. Here the words are not handed to it. What can be left out is left
out, and what an Agent and its tools did stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.trace import NonRecordingSpan, Span, StatusCode, get_current_span
from opentelemetry.util.types import AttributeValue
from strands.agent import AgentResult
from strands.telemetry.tracer import Tracer, get_tracer
from strands.types.tools import ToolResult, ToolUse

from reference_agent.telemetry.detail import Detail
from reference_agent.telemetry.redaction import settle_conventions

PROVIDER: Final = "strands-agents"


def keep_words_from_strands(detail: Detail | None = None) -> None:
    """Begin and end the spans of Strands' tracer as below, for the whole process.

    Args:
        detail: says which requests have spans of their tools, None for all.
    """
    settle_conventions(words=False)  # where it is made here, its tracer reads the environment now
    tracer = get_tracer()
    spans = _SpansWithoutWords(tracer, detail or Detail())
    for name in (
        "start_agent_span",
        "end_agent_span",
        "start_tool_call_span",
        "end_tool_call_span",
        "start_event_loop_cycle_span",
        "start_model_invoke_span",
    ):
        setattr(tracer, name, getattr(spans, name))


class _SpansWithoutWords:
    """What stands in for methods of the same names: they take what those take, and read less of it."""

    def __init__(self, tracer: Tracer, detail: Detail) -> None:
        self._tracer = tracer
        self._detail = detail

    def start_agent_span(
        self,
        *,
        agent_name: str,
        model_id: str | None = None,
        custom_trace_attributes: Mapping[str, AttributeValue] | None = None,
        **_: Any,
    ) -> Span:
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.agent.name": agent_name,
            **(custom_trace_attributes or {}),
        }
        if model_id is not None:
            attributes["gen_ai.request.model"] = model_id
        return self._tracer.tracer.start_span(f"invoke_agent {agent_name}", attributes=attributes)

    def end_agent_span(
        self, span: Span, response: AgentResult | None = None, error: Exception | None = None
    ) -> None:
        if response is not None:
            usage = response.metrics.accumulated_usage
            span.set_attributes(
                {
                    "gen_ai.usage.input_tokens": usage["inputTokens"],
                    "gen_ai.usage.output_tokens": usage["outputTokens"],
                }
            )
        _end(span, type(error).__name__ if error is not None else None)

    def start_tool_call_span(self, tool: ToolUse, *_: Any, **__: Any) -> Span:
        if not self._detail.wanted():
            return _none()
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.provider.name": PROVIDER,
            "gen_ai.tool.name": tool["name"],
            "gen_ai.tool.call.id": tool["toolUseId"],
        }
        return self._tracer.tracer.start_span(f"execute_tool {tool['name']}", attributes=attributes)

    def end_tool_call_span(
        self, span: Span, tool_result: ToolResult | None, error: Exception | None = None
    ) -> None:
        failed = tool_result is not None and tool_result.get("status") == "error"
        if error is not None:
            _end(span, type(error).__name__)
        else:
            _end(span, "tool_error" if failed else None)

    def start_event_loop_cycle_span(self, *_: Any, **__: Any) -> Span:
        return _none()

    def start_model_invoke_span(self, *_: Any, **__: Any) -> Span:
        return _none()


def _none() -> Span:
    """Return no span: what is begun below it is a child of the one above it."""
    return NonRecordingSpan(get_current_span().get_span_context())


def _end(span: Span, error_type: str | None) -> None:
    if error_type is not None:
        span.set_attribute("error.type", error_type)
        span.set_status(StatusCode.ERROR)
    span.end()
