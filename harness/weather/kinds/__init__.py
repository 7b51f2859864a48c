"""The kinds of weather: one a file, and this explicit registry of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.records.weather import Target
from harness.weather.kinds import (
    bandwidth,
    clock_jump,
    descriptors,
    eviction,
    failover,
    half_open,
    latency,
    lost_reply,
    memory_full,
    other_tools,
    partition,
    read_only,
    reset,
    restart,
    round_robin,
    stall,
    unresolved,
)
from harness.weather.kinds.kind import WeatherKind

_ALL = (
    bandwidth,
    clock_jump,
    descriptors,
    eviction,
    failover,
    half_open,
    latency,
    lost_reply,
    memory_full,
    other_tools,
    partition,
    read_only,
    reset,
    restart,
    round_robin,
    stall,
    unresolved,
)

REGISTRY: Mapping[str, WeatherKind] = MappingProxyType(
    {module.__name__.rpartition(".")[2]: module.KIND for module in _ALL}
)


def known_weather() -> tuple[str, ...]:
    """Return the kinds that an experiment's weather may have."""
    return tuple(sorted(REGISTRY))


def weather_of_store() -> tuple[str, ...]:
    """Return those of them that are done to the store itself, and not to the bytes on the way to it."""
    return tuple(name for name in known_weather() if REGISTRY[name].begin is not None)


def weather_undone() -> Mapping[str, str]:
    """Return those that are done to something and undone when they end, and by which name that goes.

    Of two at once, the first that ends would undo the other.
    """
    of_host = {name: name for name in known_weather() if REGISTRY[name].host_begin is not None}
    return of_host | dict.fromkeys(weather_of_store(), "store")


def weather_spreads() -> tuple[str, ...]:
    """Return those that lead to several replicas, and are nothing where there is one."""
    return tuple(name for name in known_weather() if REGISTRY[name].spreads)


def weather_of_ours() -> tuple[str, ...]:
    """Return those that befall the reference agent alone."""
    return tuple(name for name in known_weather() if REGISTRY[name].ours)


def weather_takes() -> Mapping[str, tuple[str, ...]]:
    """Return the keys of its own that a rule of each kind takes."""
    return {name: REGISTRY[name].takes for name in known_weather()}


def weather_only() -> Mapping[str, Target]:
    """Return the kinds that befall one target alone, and which."""
    return {name: only for name in known_weather() if (only := REGISTRY[name].only) is not None}
