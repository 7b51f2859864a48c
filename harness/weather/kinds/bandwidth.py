"""So many bytes a second pass each way of a connection.

In production: a link that a backup fills. In traces: the spans of the store grow with the length of the
session. Smaller sessions mend it: what a turn adds is small, what it reads is all of them.
"""

from harness.records.weather import WeatherRule
from harness.weather.kinds.kind import Fate, Piece, WeatherKind


def _narrow(rule: WeatherRule, piece: Piece) -> Fate:
    return Fate(after_s=piece.size / rule.bytes_per_s)


KIND = WeatherKind(takes=("bytes_per_s",), fate=_narrow)
