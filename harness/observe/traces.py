"""Spans in any order, handed on trace by trace, in bounded memory.

What a store gives is sorted by nothing: the spans of a trace lie as far apart as its processes sent them.
While all fit into memory they stay there; more are put aside in files, by their trace, and read back one file
at a time.
"""

from __future__ import annotations

import pickle
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from harness.records.seen import Span

MOST_IN_MEMORY: Final = 200_000
"""Spans: some 400 MB of them."""
FILES: Final = 64
BLOCK: Final = 500
"""Spans that are put aside at once, by file."""


def by_trace(spans: Iterable[Span], most: int = MOST_IN_MEMORY) -> Iterator[list[Span]]:
    """Yield the spans of each trace together.

    Args:
        spans: in any order, once each or more often.
        most: so many are held at once, about; of one trace all are.
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
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="agentrig-observe-")))
        aside = _Aside(folder, stack)
        for trace in held.values():
            for span in trace:
                aside.put(span)
        held.clear()
        for span in arriving:
            aside.put(span)
        for part in aside.parts():
            yield from part.values()


class _Aside:
    """Files of our own that nobody else can write to: what is read back is what was put there."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._files = [stack.enter_context((folder / f"{number}").open("w+b")) for number in range(FILES)]
        self._blocks: list[list[Span]] = [[] for _ in range(FILES)]

    def put(self, span: Span) -> None:
        number = hash(span.trace_id) % FILES
        block = self._blocks[number]
        block.append(span)
        if len(block) >= BLOCK:
            self._write(number)

    def parts(self) -> Iterator[dict[str, list[Span]]]:
        for number, file in enumerate(self._files):
            self._write(number)
            file.seek(0)
            found: defaultdict[str, list[Span]] = defaultdict(list)
            while file.peek(1):
                for span in pickle.load(file):  # noqa: S301 - our own file, in a folder of this user alone
                    found[span.trace_id].append(span)
            file.truncate(0)
            yield found

    def _write(self, number: int) -> None:
        if self._blocks[number]:
            pickle.dump(self._blocks[number], self._files[number], pickle.HIGHEST_PROTOCOL)
            self._blocks[number] = []
