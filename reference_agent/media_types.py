"""Which kind of answer a caller prefers: `Accept`, as RFC 9110 has it (12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
WEIGHT: Final = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


def prefers_events(accept: Iterable[str]) -> bool:
    """Return whether server-sent events are wanted, and not less than JSON.

    Of two that are wanted alike, events have to be named: who takes anything is answered in one piece. So is
    who takes neither, for an answer of another kind is of more use than a refusal.

    Args:
        accept: values of the header, none where there is none.
    """
    ranges = [_read(part) for value in accept for part in value.split(",")]
    events, json = _weight(EVENTS, ranges), _weight(JSON, ranges)
    named = any(kind == EVENTS for kind, _ in ranges)
    return events > json or (named and events == json > 0)


def _read(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weights = [
        value.strip() for name, _, value in (p.partition("=") for p in parameters) if name.strip() == "q"
    ]
    return kind, float(weights[-1]) if weights and WEIGHT.fullmatch(weights[-1]) else 1.0


def _weight(kind: str, ranges: Iterable[tuple[str, float]]) -> float:
    """Return how much a kind is wanted, 0..1: by what is said of itself, else of its family, else of all."""
    for name in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        said = [weight for range_, weight in ranges if range_ == name]
        if said:
            return max(said)
    return 0.0
