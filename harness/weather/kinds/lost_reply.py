"""A command is carried out, and the connection is reset in place of its reply.

In production: a store that dies, or a balancer that is moved, between the two. In traces: an error of a save,
and the turn is there. A save that says which turn it follows, and under which request id, mends it: carried
out again it finds itself, and adds nothing.
"""

from harness.records.weather import WeatherRule
from harness.weather.kinds.kind import PASSES, Fate, Piece, WeatherKind


def _lost(rule: WeatherRule, piece: Piece) -> Fate:
    return Fate(then="reset") if piece.reply and piece.draw.random() < rule.probability else PASSES


KIND = WeatherKind(takes=("probability",), fate=_lost)
