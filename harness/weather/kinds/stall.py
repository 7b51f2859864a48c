"""Nothing passes; then all of it does, and no connection is lost.

In production: a store that saves its memory to disk, or is moved to another host. In traces: many spans of
the store that end at one instant. A time limit on each command mends it: who waits longer than the caller
does, waits for nobody.
"""

from harness.weather.kinds.kind import Fate, WeatherKind

KIND = WeatherKind(fate=lambda _rule, _piece: Fate(then="hold"), blocks=True)
