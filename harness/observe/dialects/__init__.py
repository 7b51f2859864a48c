"""How others name what happens: one convention a file, and this list of them, the most particular first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from harness.observe.dialects import (
    adk,
    entry,
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
from harness.observe.dialects.installed import Dialect, dialects
from harness.records.observed import Part
from harness.records.seen import Span

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
    ("entry", entry.read),
)


@cache
def asked() -> Sequence[tuple[str, Dialect]]:
    """Return all in the order in which they are asked: our own names, other packages', and the rest.

    Raises:
        PluginError: what another package adds is broken.
    """
    first, *rest = DIALECTS
    all_of_them = dialects(DIALECTS)
    return (first, *((name, all_of_them[name]) for name in all_of_them.theirs), *rest)


def read(span: Span) -> tuple[str, Part] | None:
    """Return what a span tells, and the dialect that knew it; None for nothing that is known.

    Raises:
        PluginError: what another package adds is broken.
    """
    for name, dialect in asked():
        if (part := dialect(span)) is not None:
            return name, part
    return None
