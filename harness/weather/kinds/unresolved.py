"""The model has a name, and that leads nowhere: who asks for it is told so, after a while.

In production: a resolver that is overloaded or started again, with as much as ten seconds until it says so.
In traces: attempts of model calls that fail before anything was sent, in each request that needs a new
connection; those over open ones go well. It is as transient as a reset, and a retry after a pause mends it. A
failure that is remembered for longer than it lasted makes it worse.
"""

from harness.weather.kinds.kind import WeatherKind, befallen

KIND = WeatherKind(
    only="model",
    takes=("delay",),
    ours=True,
    host_begin=lambda rule, host: host.names(befallen(rule), fail=True, after_s=rule.delay.median_s),
    host_end=lambda rule, host: host.names(befallen(rule), fail=False),
)
