"""A container has no more file descriptors: it can open no connection, and take none.

In production: a limit that is too low, or something that leaks. In traces: attempts of model calls that fail
before anything was sent, and requests that nobody took: a balancer's connections are open as soon as the
kernel has them. A limit far above connections x slots mends it, and a pool that is bounded; what comes first
is `process_open_fds` in `/metrics`.
"""

from harness.weather.kinds.kind import WeatherKind, befallen

KIND = WeatherKind(
    only="container",
    takes=("spare",),
    host_begin=lambda rule, host: host.descriptors(befallen(rule), rule.spare),
    host_end=lambda rule, host: host.descriptors(befallen(rule), None),
)
