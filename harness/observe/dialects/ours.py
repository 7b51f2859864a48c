"""Our own names, where no convention has one: client builds, sessions, work after the answer, retries."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from harness import contract
from harness.observe.dialects import genai, http, values
from harness.records.observed import (
    AfterAnswer,
    Backoff,
    ClientBuild,
    Invocation,
    ModelCall,
    Part,
    Served,
    Stored,
    ToolCall,
)
from harness.records.seen import Span

STORED: Final = {contract.SPAN_SESSION_LOAD: False, contract.SPAN_SESSION_SAVE: True}


def read(span: Span) -> Part | None:
    """Return what a span tells in our names, None where it has none of them."""
    if span.name.startswith(contract.SPAN_CLIENT_INIT) and values.starts(
        span.name, [contract.SPAN_CLIENT_INIT]
    ):
        return ClientBuild(
            error=values.error(span),
            client=values.text(span, contract.CLIENT_NAME) or span.name.partition(" ")[2] or "client",
            again=values.text(span, contract.CLIENT_INIT_STATE) == "reinit",
            reason=values.text(span, contract.CLIENT_INIT_REASON) or "",
        )
    if span.name in STORED:
        return Stored(error=values.error(span), saved=STORED[span.name])
    if span.name == contract.SPAN_AFTER_ANSWER:
        return AfterAnswer(error=values.error(span))
    if span.name.startswith(contract.SPAN_MCP_CALL):
        return ToolCall(error=values.error(span), tool=span.name)
    if span.kind == "server" and (
        contract.BUSY in span.attributes or contract.QUEUE_WAIT_S in span.attributes
    ):
        served = http.read(span)
        if isinstance(served, Served):
            queued_s = values.number(span, contract.QUEUE_WAIT_S) or 0.0
            return replace(served, queued_s=queued_s, refused=bool(span.attributes.get(contract.BUSY)))
    return _of_agent(span)


def _of_agent(span: Span) -> Part | None:
    if contract.AGENT_ID in span.attributes or contract.CLIENT_STATE in span.attributes:
        state = span.attributes.get(contract.CLIENT_STATE)
        waited_s = values.number(span, contract.CLIENT_WAIT_S)
        return Invocation(
            error=values.error(span),
            agent_id=values.text(span, contract.AGENT_ID),
            session=genai.session(span),
            waited_s=None if state is None else max(waited_s or 0.0, 1e-9) if state == "cold" else 0.0,
        )
    if contract.RETRY_ATTEMPTS in span.attributes and isinstance(call := genai.read(span), ModelCall):
        pauses = tuple(
            Backoff(time_ns=event.time_ns, delay_s=delay_s)
            for event in span.events
            if event.name == contract.RETRY_EVENT
            and (delay_s := values.finite(event.attributes.get(contract.RETRY_DELAY_S))) is not None
        )
        attempts = values.whole(span, contract.RETRY_ATTEMPTS)
        return replace(call, level="framework", attempts=attempts, backoffs=pauses)
    return None
