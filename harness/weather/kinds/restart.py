"""Nothing passes, and at its end all connections are reset: whoever waited is told at one instant.

In production: a store that hangs until somebody starts it again. In traces: spans of the store that end in an
error, all at once, and what comes back after it. A pause that is drawn, before a command is tried again,
mends it: else what had waited together comes back together, and the store that has just begun meets a herd.
"""

from harness.weather.kinds.kind import Fate, WeatherKind

KIND = WeatherKind(fate=lambda _rule, _piece: Fate(then="hold"), at_end="reset", blocks=True)
