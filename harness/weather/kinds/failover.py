"""The store's primary is killed; when the weather is over, its replica is the primary.

In production: a host dies, and a sentinel or the cloud needs its time to notice. In traces: errors of
connections, then of timeouts, then nothing any more. A client that asks anew where the primary is, after each
error, mends it. What the primary had acknowledged and not yet handed to its replica is lost: who can't have
that waits for the replica (`WAIT`).
"""

from harness.weather.kinds.kind import WeatherKind

KIND = WeatherKind(
    blocks=True,
    before=lambda _rule, store: store.await_replica(),
    begin=lambda _rule, store: store.kill(),
    end=lambda _rule, store: store.promote(),
)
