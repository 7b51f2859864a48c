"""Spans in any order, handed on trace by trace, in bounded memory and in order of time, about.

What a store gives is sorted by nothing: the spans of a trace lie as far apart as its processes sent them.
While all fit into memory they stay there. More are put aside in a file, by slices of time: a trace is in that
of the first of its spans that came. So what was at once is together, and of a trace an id is kept, and no
more.
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

from harness.errors import StartError
from harness.process.guard import scratch_folder
from harness.records.seen import Attribute, Span

MOST_IN_MEMORY: Final = 200_000
"""Spans: some 400 MB of them."""
SLICE_NS: Final = 2_000_000_000
"""The spans of so long a time are in memory at once, when they are read back."""
LONG: Final = 256
MOST_CHARS: Final = 4096
"""Of a text: no dialect looks at more, and prompts and answers that are kept on spans are megabytes."""
CHARS: Final = 1024
"""So much text is as much as half a span."""
LOW_64: Final = 2**64 - 1


def by_trace(spans: Iterable[Span], most: int = MOST_IN_MEMORY) -> Iterator[list[Span]]:
    """Yield the spans of each trace together.

    Args:
        spans: in any order, once each or more often.
        most: so many are held at once, about, fewer of those with long texts; of one trace all are, and of
            two seconds.

    Raises:
        StartError: there is no room to put them aside.
    """
    held: defaultdict[str, list[Span]] = defaultdict(list)
    arriving, weight = map(_slim, spans), 0
    for span, weighs in arriving:
        held[span.trace_id].append(span)
        weight += weighs
        if weight >= most:
            break
    else:
        yield from held.values()
        return
    with ExitStack() as stack:
        aside = _Aside(stack.enter_context(scratch_folder("observe")), stack, most)
        for trace in held.values():
            for span in trace:
                aside.put(span, 1)
        held.clear()
        for span, weighs in arriving:
            aside.put(span, weighs)
        for part in aside.slices():
            yield from part.values()


def _slim(span: Span) -> tuple[Span, int]:
    """Return a span without what is too long to be read, and how much is left, in spans."""
    chars = len(span.status_message)
    for attributes in (span.attributes, *(event.attributes for event in span.events)):
        for value in attributes.values():
            if isinstance(value, tuple) or (isinstance(value, str) and len(value) > LONG):
                chars += _chars(value)
    if chars <= LONG:
        return span, 1
    slim = replace(
        span,
        status_message=span.status_message[:MOST_CHARS],
        attributes=_clipped(span.attributes),
        events=tuple(replace(event, attributes=_clipped(event.attributes)) for event in span.events),
    )
    holders = [slim.attributes, *(event.attributes for event in slim.events)]
    kept = sum(_chars(value) for attributes in holders for value in attributes.values())
    return slim, 1 + (kept + len(slim.status_message)) // CHARS


def _clipped(attributes: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Return attributes whose texts are cut right behind what is looked at, without lists that are longer."""
    return {
        name: value[: MOST_CHARS + 1] if isinstance(value, str) else value
        for name, value in attributes.items()
        if not isinstance(value, tuple) or _chars(value) <= MOST_CHARS
    }


def _chars(value: Attribute) -> int:
    if isinstance(value, tuple):
        return sum(map(_chars, value)) + 8 * len(value)
    return len(value) if isinstance(value, str) else 0


# As plain rows: pickle asks each field of a dataclass by name, which takes three times as long.
FIELDS: Final = tuple(each.name for each in fields(Span))
_row: Final[Callable[[Span], tuple[Any, ...]]] = attrgetter(*FIELDS)


def _of_row(row: tuple[Any, ...]) -> Span:
    return Span(**dict(zip(FIELDS, row, strict=True)))


class _Aside:
    """A file of our own that nobody else can write to: what is read back is what was put there."""

    def __init__(self, folder: Path, stack: ExitStack, most: int) -> None:
        self._file = stack.enter_context((folder / "spans").open("w+b"))
        self._most = most
        self._slices: dict[int, int] = {}
        self._waiting: defaultdict[int, list[Span]] = defaultdict(list)
        self._weight = 0
        self._blocks: defaultdict[int, list[int]] = defaultdict(list)

    def put(self, span: Span, weighs: int) -> None:
        number = self._slices.setdefault(int(span.trace_id, 16) & LOW_64, span.start_ns // SLICE_NS)
        self._waiting[number].append(span)
        self._weight += weighs
        if self._weight >= self._most // 4:
            self._write()

    def slices(self) -> Iterator[dict[str, list[Span]]]:
        self._write()
        self._slices.clear()
        for number in sorted(self._blocks):
            found: defaultdict[str, list[Span]] = defaultdict(list)
            for place in self._blocks.pop(number):
                self._file.seek(place)
                for row in pickle.load(self._file):  # noqa: S301 - our own file, in a folder of this user alone
                    found[row[0]].append(_of_row(row))
            yield found

    def _write(self) -> None:
        try:
            for number, spans in self._waiting.items():
                self._blocks[number].append(self._file.seek(0, 2))
                pickle.dump([*map(_row, spans)], self._file, pickle.HIGHEST_PROTOCOL)
        except OSError as error:
            raise StartError(
                f"{self._file.name}: spans can't be put aside: {error.strerror}. Make room, or say where "
                "there is some with TMPDIR."
            ) from error
        self._waiting.clear()
        self._weight = 0
