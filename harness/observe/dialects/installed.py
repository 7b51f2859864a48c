"""Dialects that installed packages add as `agentrig.dialects`.

No span says which dialect it is written in, so that none can be named: all that are installed are asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import Any, Final, get_args

from harness.outside.plugins import Extended, Origin, wrong_in
from harness.records.observed import Part
from harness.records.seen import Span

Dialect = Callable[[Span], Part | None]
PARTS: Final = get_args(Part)


def taken(found: Any, origin: Origin) -> Dialect:
    """Return a dialect of another package whose failures say whose it is.

    Raises:
        TypeError: it is none.
    """
    if not callable(found):
        msg = f"is no dialect: what is of type {type(found).__name__} can't be called with a span"
        raise TypeError(msg)
    asked = origin.guarded(found, "reading a span")

    def read(span: Span) -> Part | None:
        part = asked(span)
        if part is not None and not isinstance(part, PARTS):
            raise origin.broken(f"made {type(part).__name__} of a span, which is no part of a request")
        if part is not None and (wrong := wrong_in(part)) is not None:
            raise origin.broken(f"made a wrong {type(part).__name__} of a span: {wrong}")
        told: Part | None = part
        return told

    return read


def dialects(ours: Iterable[tuple[str, Dialect]]) -> Extended[Dialect]:
    """Return the dialects by name: ours, and those that are installed beside them."""
    return Extended("agentrig.dialects", MappingProxyType(dict(ours)), taken)
