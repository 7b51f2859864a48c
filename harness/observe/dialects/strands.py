"""Strands Agents: a `chat` that was throttled is tried again as another one beside it."""

from __future__ import annotations

from dataclasses import replace

from harness.observe.dialects import genai
from harness.records.observed import ModelCall, Part
from harness.records.seen import Span


def read(span: Span) -> Part | None:
    """Return what a span of Strands tells, None where it is none of these."""
    if not span.scope.startswith("strands."):
        return None
    part = genai.read(span)
    return replace(part, level="framework") if isinstance(part, ModelCall) else part
