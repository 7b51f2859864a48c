"""The store's memory is full: reads go on, what would need memory is refused (`OOM command not allowed`).

In production: sessions that nobody ever forgets. In traces: loads go well, saves fail. A time after which an
unused session is forgotten mends it, and reading a session by a command that is refused as a save would be.
"""

from harness.weather.kinds.kind import WeatherKind

KIND = WeatherKind(
    blocks=True,
    begin=lambda _rule, store: store.tell("CONFIG", "SET", "maxmemory", "1"),
    end=lambda _rule, store: store.tell("CONFIG", "SET", "maxmemory", "0"),
)
