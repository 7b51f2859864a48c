"""The tool server goes away, all connections break, and it comes back with other tools.

In production: a release of the tool server, in which a tool has another name. In traces: calls of a tool
that is not there, and answers that go out all the same. Listing the tools anew after a call that failed mends
it; a list that was read at the start of the container is wrong until that is started again.
"""

from harness.weather.kinds.kind import Fate, WeatherKind

KIND = WeatherKind(
    only="tools",
    fate=lambda _rule, _piece: Fate(then="reset"),
    at_begin="reset",
    at_end="reset",
    leaves_another=True,
)
