"""Connections lead to each replica in turn, and a replica knows the sessions alone that it opened itself.

In production: three replicas of a tool server behind a balancer without stickiness, or one that is started
again: who sends a session that is not known is answered 404. In traces: tool calls that end in an error at
once, and answers that go out all the same: the model makes do without the tool. A client that opens a session
anew after a 404, and asks again, mends it, or a protocol without sessions (MCP of 2026). When it is over, the
last replica alone is left, and the sessions of the others are gone.
"""

from harness.weather.kinds.kind import WeatherKind

KIND = WeatherKind(only="tools", spreads=True, at_begin="reset", at_end="reset")
