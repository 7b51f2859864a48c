"""What every source of spans does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from harness.records.seen import Span

AHEAD_S: Final = 86_400.0
"""So much later than now a store is asked for spans: those of clocks that are ahead are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """From when to when is looked, in Unix seconds.

    Attributes:
        from_s: what began before is left out, and None for nothing.
        to_s: what ended after it may still come in.
    """

    from_s: float | None
    to_s: float


LEAST_CUT: Final = 20
ROUND: Final = 10


def may_be_cut(traces: int, asked: int) -> bool:
    """Whether an answer may lack some of the traces that there are.

    It does where it has as many as were asked for, and it may where a store gives no more than so many of its
    own accord: they are told by being round.

    Args:
        traces: of the answer.
        asked: for so many.
    """
    return traces >= asked or (traces >= LEAST_CUT and traces % ROUND == 0)


class Source(Protocol):
    """A place that has spans.

    Attributes:
        notes: what it could not give the last time it was asked, a sentence each; complete once `spans` has
            ended.
        live: whether what it has goes on coming in.
        listens_since_s: since when it takes in what comes, and has nothing of before, in Unix seconds; None
            where it holds more.
    """

    notes: list[str]
    live: bool
    listens_since_s: float | None

    def spans(self, time: Time) -> Iterator[Span]:
        """Yield the spans, in any order.

        Args:
            time: which are wanted; others may come as well.

        Raises:
            InputError: there is nothing that can be read as spans.
            StartError: it can't be asked.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...
