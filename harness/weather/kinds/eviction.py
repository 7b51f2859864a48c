"""The store's memory is full, and it makes room: keys of sessions that are in use are gone.

In production: a cache that was taken for a store (`maxmemory-policy allkeys-lru`). In traces: nothing; the
agent answers as if it had never been told. No client mends that: `maxmemory-policy noeviction` does.
"""

from harness.records.weather import WeatherRule
from harness.weather.kinds.kind import StoreServer, WeatherKind

MIB = 1024 * 1024


def _begin(rule: WeatherRule, store: StoreServer) -> None:
    store.tell("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    most = (store.figure("memory", "used_memory") or 0.0) + rule.memory_mb * MIB
    store.tell("CONFIG", "SET", "maxmemory", str(int(most)))


def _end(_: WeatherRule, store: StoreServer) -> None:
    store.tell("CONFIG", "SET", "maxmemory", "0")
    store.tell("CONFIG", "SET", "maxmemory-policy", "noeviction")


KIND = WeatherKind(takes=("memory_mb",), begin=_begin, end=_end)
