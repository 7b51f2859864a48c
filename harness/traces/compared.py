"""Two traces side by side: what took longer, by the services and names of their spans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.records.seen import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What the spans of one name took in each of two traces.

    Attributes:
        name: service and name of the spans.
        counts: how many there are.
        seconds: what they took, added up.
    """

    name: str
    counts: tuple[int, int]
    seconds: tuple[float, float]

    @property
    def more_s(self) -> float:
        """Seconds that they took more in the second one."""
        return self.seconds[1] - self.seconds[0]


def compare(first: Iterable[Span], second: Iterable[Span]) -> list[Part]:
    """Return the parts of two traces, those first that differ most."""
    sides = [_by_name(first), _by_name(second)]
    parts = [
        Part(
            name=name,
            counts=(len(sides[0].get(name, ())), len(sides[1].get(name, ()))),
            seconds=(sum(sides[0].get(name, ())), sum(sides[1].get(name, ()))),
        )
        for name in {**sides[0], **sides[1]}
    ]
    return sorted(parts, key=lambda part: -abs(part.more_s))


def _by_name(spans: Iterable[Span]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for span in spans:
        found.setdefault(f"{span.service} {span.name}", []).append(span.duration_s)
    return found
