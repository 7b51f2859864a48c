"""A receiver of OTLP that a Collector sends to: what came in lately is kept in files, a few minutes each.

Spans of an hour may be more than fits into memory, and none of them is looked at before the look: they stay
on the disk as they came, and go when no window asks for them any more.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.capture.decode import received
from harness.capture.frames import Encoding, FrameWriter
from harness.capture.otlp_http import OtlpHttp
from harness.capture.receiver import Receiver, ReceiverStats
from harness.clock import Clock
from harness.observe.serving import served
from harness.observe.sources.source import Time
from harness.process.guard import scratch_folder
from harness.records.seen import Span

MOST_BYTES: Final = 16 * 1024 * 1024
"""Of a file, about: so much is decoded at once."""
MOST_S: Final = 60.0
LATER_S: Final = 10.0
"""What is sent in batches comes in so much after its end, without any look missing it."""
LATE_SHARE: Final = 0.001


@dataclass(slots=True)
class _File:
    path: Path
    writer: FrameWriter
    first_s: float
    last_s: float
    bytes: int = 0


class Recent:
    """Keeps what came in lately, in files of a folder.

    Args:
        folder: theirs alone.
        keep_s: so long what came in is kept, at the least.
    """

    def __init__(self, folder: Path, keep_s: float) -> None:
        self._folder, self._keep_s = folder, keep_s
        self._files: deque[_File] = deque()
        self._made = 0

    def append(self, time_s: float, encoding: Encoding, payload: bytes) -> None:
        """Keep a request, and let go of what is too old.

        Raises:
            OSError: it can't be written.
        """
        last = self._files[-1] if self._files else None
        if last is None or last.bytes > MOST_BYTES or time_s - last.first_s > MOST_S:
            last = self._new(time_s)
        last.writer.append(time_s, encoding, payload)
        last.bytes, last.last_s = last.bytes + len(payload), time_s
        while self._files[0].last_s < time_s - self._keep_s:
            old = self._files.popleft()
            old.writer.close()
            old.path.unlink(missing_ok=True)

    def received(self, from_s: float) -> Iterator[tuple[float, Span]]:
        """Yield the spans of what came in since (Unix), and some of before, each with when it came."""
        for file in list(self._files):
            if file.last_s >= from_s:
                yield from received(file.path)

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.writer.close()

    def _new(self, time_s: float) -> _File:
        self._made += 1
        path = self._folder / f"{self._made}.raw"
        file = _File(path, FrameWriter(path), time_s, time_s)
        self._files.append(file)
        return file


class Nowhere:
    """Keeps nothing: metrics that come along are not asked for."""

    def append(self, time_s: float, encoding: Encoding, payload: bytes) -> None:
        """Let go of a request."""


def open_receiver(
    host: str, port: int, keep_s: float, clock: Clock, tell: Callable[[str], None]
) -> Listening:
    """Listen until the source is closed.

    Args:
        host: to listen at.
        port: likewise.
        keep_s: so long what came in is kept.
        clock: says when it came.
        tell: is told of a sender whose words are not understood.

    Raises:
        StartError: it can't be listened at, or there is no room.
    """
    with ExitStack() as stack:
        recent = Recent(stack.enter_context(scratch_folder("otlp")), keep_s)
        stack.callback(recent.close)
        stats = ReceiverStats()
        receiver = Receiver(recent, Nowhere(), clock=clock, stats=stats)
        stack.enter_context(served(receiver, host, port, OtlpHttp.telling(tell)))
        return Listening(recent, stats, clock.now(), stack.pop_all().close)


class Listening:
    """A receiver that runs.

    Args:
        recent: what came in lately.
        stats: what could not be taken in is counted there.
        since_s: when it began to listen (Unix).
        close: ends it.
    """

    live = True

    def __init__(
        self, recent: Recent, stats: ReceiverStats, since_s: float, close: Callable[[], None]
    ) -> None:
        self.notes: list[str] = []
        self.listens_since_s: float | None = since_s
        self._recent, self._stats, self._close = recent, stats, close
        self._lost: deque[tuple[float, int]] = deque([(since_s, 0)])

    def spans(self, time: Time) -> Iterator[Span]:
        """Yield the spans of what came in."""
        self.notes = []
        from_s = max(self.listens_since_s or 0.0, time.from_s or 0.0)
        came, late = Counter[tuple[str, str | None]](), Counter[tuple[str, str | None]]()
        length_s = time.to_s - from_s + LATER_S
        for at_s, span in self._recent.received(from_s):
            came[span.service, span.instance] += 1
            late[span.service, span.instance] += at_s - span.start_ns / 1e9 > length_s
            yield span
        self._tell_late(came, +late, length_s)
        self._lost.append((time.to_s, self._stats.refused_traces + self._stats.rejected_spans))
        while len(self._lost) > 1 and self._lost[1][0] <= from_s:
            self._lost.popleft()
        if lost := self._lost[-1][1] - self._lost[0][1]:
            self.notes.append(f"{lost} requests or spans that were sent could not be taken in")

    def _tell_late(
        self,
        came: Mapping[tuple[str, str | None], int],
        late: Counter[tuple[str, str | None]],
        length_s: float,
    ) -> None:
        if not late:
            return
        alone = [name or service for (service, name), count in late.items() if count == came[service, name]]
        if late.total() > LATE_SHARE * sum(came.values()) or alone:
            named = f", all that came of {alone[0]}" if alone else ""
            self.notes.append(
                f"{late.total()} spans came in more than {length_s:.0f} s after they began{named}, and are "
                "in no time that is looked at: the clock of who sent them is behind, or they were kept back"
            )

    def close(self) -> None:
        """Stop to listen, and remove what came in."""
        self._close()
