"""All open connections are reset when it begins.

In production: a store, or a balancer before it, that is started again. In traces: one error for each
connection of the pool, at the same instant. A pause that is drawn mends it, before a command that may be
carried out twice is tried again over a new connection: else all come back together.
"""

from harness.weather.kinds.kind import WeatherKind

KIND = WeatherKind(at_begin="reset")
