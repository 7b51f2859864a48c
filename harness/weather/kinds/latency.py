"""Each piece comes later: always as much, or with a heavy tail.

In production: a store in another zone, a disk that syncs, a neighbour that takes the CPU. In traces: the
spans of the store are longer, and nothing fails. A reply that is read by a task which holds nothing else
mends it.
"""

from harness.records.weather import WeatherRule
from harness.weather.kinds.kind import Fate, Piece, WeatherKind
from harness.weather.times import drawn_s


def _later(rule: WeatherRule, piece: Piece) -> Fate:
    return Fate(after_s=drawn_s(rule.delay, piece.draw))


KIND = WeatherKind(takes=("delay",), fate=_later)
