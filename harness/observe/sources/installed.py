"""Sources of spans that installed packages add as `agentrig.sources`: `agentrig observe NAME:WHATEVER`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar, cast, get_args

from harness.errors import AgentrigError
from harness.observe.sources.source import Source, Time
from harness.outside.plugins import Extended, Guarded, Origin
from harness.records.seen import Span, SpanEvent, SpanKind

Wanted = TypeVar("Wanted")


TOLD: Final = (AgentrigError,)
"""What a source may raise: `Source` says when."""
END: Final = object()
KINDS: Final = get_args(SpanKind)
FIELDS: Final[Mapping[tuple[str, ...], type]] = {
    ("trace_id", "span_id", "name", "kind", "service", "status_message", "scope", "trace_state"): str,
    ("start_ns", "end_ns"): int,
    ("error",): bool,
}


class _ForeignSource(Guarded):
    """A source of another package: what it gives is looked at."""

    def spans(self, time: Time) -> Iterator[Span]:
        """Yield its spans.

        Raises:
            AgentrigError: it can't be asked, or has nothing to read.
            PluginError: it failed, or gave something else.
        """
        begun = self._origin.guarded(lambda: iter(self._inner.spans(time)), "spans()", TOLD)()
        following = self._origin.guarded(lambda: next(begun, END), "spans()", TOLD)
        while (span := following()) is not END:
            if not isinstance(span, Span):
                raise self._origin.broken(f"gave {type(span).__name__} from spans(), not a Span")
            if (wrong := _wrong_in(span)) is not None:
                raise self._origin.broken(f"gave a Span from spans() whose {wrong}")
            yield span
        notes = self._inner.notes
        if not isinstance(notes, list) or not all(isinstance(each, str) for each in notes):
            raise self._origin.broken("has notes that are no list of sentences")


def _wrong_in(span: Span) -> str | None:
    """Say which field of a span is not what it must be; None for none: Python looks at none."""
    for names, kind in FIELDS.items():
        for name in names:
            if type(value := getattr(span, name)) is not kind:
                return f"{name} is of type {type(value).__name__}, not {kind.__name__}"
    if span.kind not in KINDS:
        return f"kind is none of {', '.join(KINDS)}"
    for name in ("parent_span_id", "instance"):
        if not isinstance(value := getattr(span, name), str | None):
            return f"{name} is of type {type(value).__name__}, neither str nor None"
    for name in ("attributes", "resource"):
        if not isinstance(value := getattr(span, name), Mapping) or not all(
            type(key) is str for key in value
        ):
            return f"{name} is no mapping of names"
    if not isinstance(span.events, tuple) or not all(isinstance(each, SpanEvent) for each in span.events):
        return "events is no tuple of SpanEvent"
    return None


class Opener(Generic[Wanted]):
    """What opens a source of another package.

    Args:
        function: of that package: takes what stands behind `NAME:`, and what is wanted of it.
        origin: whose it is.
    """

    def __init__(self, function: Callable[[str, Wanted], Any], origin: Origin) -> None:
        self._function = origin.guarded(function, "opening the source", TOLD)
        self._origin = origin

    def __call__(self, rest: str, wanted: Wanted) -> Source:
        """Open the source.

        Raises:
            PluginError: it failed, or opened something else.
        """
        opened = self._function(rest, wanted)
        lacking = [name for name in ("notes", "live", "listens_since_s") if not hasattr(opened, name)]
        lacking += [name for name in ("spans", "close") if not callable(getattr(opened, name, None))]
        if lacking:
            raise self._origin.broken(f"opened what is no source: it has no {', '.join(lacking)}")
        return cast(Source, _ForeignSource(opened, self._origin, TOLD))


def taken(found: Any, origin: Origin) -> Opener[Any]:
    """Return what opens a source of another package.

    Raises:
        TypeError: it can't be called to do so.
    """
    if not callable(found):
        msg = f"is no source: what is of type {type(found).__name__} can't be called to open one"
        raise TypeError(msg)
    return Opener(found, origin)


def sources(ours: tuple[str, ...]) -> Extended[Opener[Any] | None]:
    """Return what opens a source, by the word before its colon; None for ours.

    Args:
        ours: the words that are taken.
    """
    return Extended("agentrig.sources", MappingProxyType(dict.fromkeys(ours)), taken)


NAME: Final = r"[a-z][a-z0-9_-]*"
"""The word before the colon."""
