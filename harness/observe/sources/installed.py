"""Sources of spans that installed packages add as `agentrig.sources`: `agentrig observe NAME:WHATEVER`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar, cast

from harness.observe.sources.source import Source, Time
from harness.outside.plugins import Extended, Guarded, Origin
from harness.records.seen import Span

Wanted = TypeVar("Wanted")


class _ForeignSource(Guarded):
    """A source of another package: what it gives is looked at."""

    def spans(self, time: Time) -> Iterator[Span]:
        """Yield its spans.

        Raises:
            PluginError: it failed, or gave something else.
        """
        begun = iter(self._origin.guarded(self._inner.spans, "spans()")(time))
        following = self._origin.guarded(lambda: next(begun, None), "spans()")
        while (span := following()) is not None:
            if not isinstance(span, Span):
                raise self._origin.broken(f"gave {type(span).__name__} from spans(), not a Span")
            yield span


class Opener(Generic[Wanted]):
    """What opens a source of another package.

    Args:
        function: of that package: takes what stands behind `NAME:`, and what is wanted of it.
        origin: whose it is.
    """

    def __init__(self, function: Callable[[str, Wanted], Any], origin: Origin) -> None:
        self._function = origin.guarded(function, "opening the source")
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
        return cast(Source, _ForeignSource(opened, self._origin))


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
