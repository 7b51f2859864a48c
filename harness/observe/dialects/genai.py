"""The GenAI conventions, of their own repository and of before: names that moved are read in both."""

from __future__ import annotations

from typing import Final

from harness.observe.dialects import values
from harness.records.observed import Invocation, ModelCall, Part, ToolCall
from harness.records.seen import Span

OPERATION: Final = "gen_ai.operation.name"
CALLS: Final = {"chat", "text_completion", "generate_content", "embeddings"}
INVOCATIONS: Final = {"invoke_agent", "invoke_workflow"}
TOOL: Final = "execute_tool"


def session(span: Span) -> str | None:
    """Return the conversation that a span belongs to."""
    return values.text(span, "gen_ai.conversation.id", "session.id", "aws.bedrock.agentcore.session.id")


def read(span: Span) -> Part | None:
    """Return what a span tells in the GenAI names, None where it has none of them.

    A span of kind SERVER is the model API's own, and no call of ours.
    """
    operation = values.text(span, OPERATION)
    if operation is None or span.kind == "server":
        return None
    if operation in INVOCATIONS:
        # `gen_ai.agent.id` names an agent's definition: many objects, one after the other, have the same
        return Invocation(error=values.error(span), session=session(span))
    if operation == TOOL:
        return ToolCall(error=values.error(span), tool=values.text(span, "gen_ai.tool.name") or span.name)
    return call(span) if operation in CALLS else None


def call(span: Span) -> ModelCall:
    """Return the model call that a span tells of."""
    retries = values.whole(span, "retry_attempts")  # as botocore's instrumentation has it
    return ModelCall(
        error=values.error(span),
        provider=values.text(span, "gen_ai.provider.name", "gen_ai.system") or "",
        model=values.text(span, "gen_ai.request.model", "gen_ai.response.model") or "",
        session=session(span),
        status=values.status(span) or values.status_in_words(span),
        attempts=None if retries is None else retries + 1,
        first_token_s=values.number(
            span, "gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"
        ),
        tokens_in=values.whole(span, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        tokens_out=values.whole(span, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    )
