"""All open connections go mute when it begins: they stay open, and nothing passes any more.

In production: a firewall or a NAT that has forgotten them, a host that lost its power. In traces: a span of
the store as long as its timeout, then an error. A time limit on each command, and letting go of *all* idle
connections after the first that timed out, mend it: the others are as dead.
"""

from harness.weather.kinds.kind import WeatherKind

KIND = WeatherKind(at_begin="mute")
