"""Spans in any order, handed on trace by trace, in bounded memory and in order of time, about.

What a store gives is sorted by nothing: the spans of a trace lie as far apart as its processes sent them.
While all fit into memory they stay there. More are put aside in a file, by slices of time: a trace is in that
of the first of its spans that came. So what was at once is together, and of a trace an id is kept, and no
more.
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from harness.errors import StartError
from harness.process.guard import scratch_folder
from harness.records.seen import Span

MOST_IN_MEMORY: Final = 200_000
"""Spans: some 400 MB of them."""
SLICE_NS: Final = 2_000_000_000
"""The spans of so long a time are in memory at once, when they are read back."""
LOW_64: Final = 2**64 - 1


def by_trace(spans: Iterable[Span], most: int = MOST_IN_MEMORY) -> Iterator[list[Span]]:
    """Yield the spans of each trace together.

    Args:
        spans: in any order, once each or more often.
        most: so many are held at once, about; of one trace all are, and of two seconds.

    Raises:
        StartError: there is no room to put them aside.
    """
    held: defaultdict[str, list[Span]] = defaultdict(list)
    arriving = iter(spans)
    for count, span in enumerate(arriving, start=1):
        held[span.trace_id].append(span)
        if count >= most:
            break
    else:
        yield from held.values()
        return
    with ExitStack() as stack:
        aside = _Aside(stack.enter_context(scratch_folder("observe")), stack, most)
        for trace in held.values():
            for span in trace:
                aside.put(span)
        held.clear()
        for span in arriving:
            aside.put(span)
        for part in aside.slices():
            yield from part.values()


class _Aside:
    """A file of our own that nobody else can write to: what is read back is what was put there."""

    def __init__(self, folder: Path, stack: ExitStack, most: int) -> None:
        self._file = stack.enter_context((folder / "spans").open("w+b"))
        self._most = most
        self._slices: dict[int, int] = {}
        self._waiting: defaultdict[int, list[Span]] = defaultdict(list)
        self._count = 0
        self._blocks: defaultdict[int, list[int]] = defaultdict(list)

    def put(self, span: Span) -> None:
        number = self._slices.setdefault(int(span.trace_id, 16) & LOW_64, span.start_ns // SLICE_NS)
        self._waiting[number].append(span)
        self._count += 1
        if self._count >= self._most // 4:
            self._write()

    def slices(self) -> Iterator[dict[str, list[Span]]]:
        self._write()
        self._slices.clear()
        for number in sorted(self._blocks):
            found: defaultdict[str, list[Span]] = defaultdict(list)
            for place in self._blocks.pop(number):
                self._file.seek(place)
                for span in pickle.load(self._file):  # noqa: S301 - our own file, in a folder of this user alone
                    found[span.trace_id].append(span)
            yield found

    def _write(self) -> None:
        try:
            for number, spans in self._waiting.items():
                self._blocks[number].append(self._file.seek(0, 2))
                pickle.dump(spans, self._file, pickle.HIGHEST_PROTOCOL)
        except OSError as error:
            raise StartError(
                f"{self._file.name}: spans can't be put aside: {error.strerror}. Make room, or say where "
                "there is some with TMPDIR."
            ) from error
        self._waiting.clear()
        self._count = 0
