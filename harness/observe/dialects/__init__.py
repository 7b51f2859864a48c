"""How others name what happens: one convention a file, and this list of them, the most particular first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from harness.observe.dialects import (
    adk,
    genai,
    http,
    logfire,
    openai_agents,
    openinference,
    ours,
    proxies,
    strands,
    traceloop,
    vercel,
)
from harness.records.observed import Part
from harness.records.seen import Span

Dialect = Callable[[Span], Part | None]
DIALECTS: Final[Sequence[tuple[str, Dialect]]] = (
    ("agentrig", ours.read),
    ("proxies", proxies.read),
    ("strands", strands.read),
    ("adk", adk.read),
    ("vercel", vercel.read),
    ("openai-agents", openai_agents.read),
    ("openinference", openinference.read),
    ("openllmetry", traceloop.read),
    ("logfire", logfire.read),
    ("genai", genai.read),
    ("http", http.read),
)


def read(span: Span) -> tuple[str, Part] | None:
    """Return what a span tells, and the dialect that knew it; None for nothing that is known."""
    for name, dialect in DIALECTS:
        if (part := dialect(span)) is not None:
            return name, part
    return None
