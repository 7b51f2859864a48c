"""A container can't reach it: what is sent is lost, new connections get no answer, and nobody is told.

In production: a rule of a firewall, a node that lost its route. In traces: the requests of one container fail
by timeout, those of all others don't. `/readyz` that looks whether a turn could be written mends it: the
balancer leaves that container alone.
"""

from harness.weather.kinds.kind import Fate, WeatherKind

KIND = WeatherKind(fate=lambda _rule, _piece: Fate(then="swallow"), silent=True, blocks=True)
