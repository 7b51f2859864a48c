"""The store takes no write: its primary has become a replica, and nobody was told.

In production: a failover that the client did not notice, a disk that is full. In traces: reads go well, saves
fail (`READONLY`). Reading a session by a command that counts as a write mends it: the model is not paid for
an answer that can't be kept.
"""

from harness.weather.kinds.kind import WeatherKind

NOWHERE = ("127.0.0.1", "1")
"""A primary that is not there: what it is a replica of does not matter."""

KIND = WeatherKind(
    blocks=True,
    begin=lambda _rule, store: store.tell("REPLICAOF", *NOWHERE),
    end=lambda _rule, store: store.tell("REPLICAOF", "NO", "ONE"),
)
