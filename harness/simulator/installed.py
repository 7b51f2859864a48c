"""What installed packages add to the simulator: `agentrig.faults` and `agentrig.protocols`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import MappingProxyType
from typing import Any, Final, cast, get_args

from harness.outside.plugins import Extended, Guarded, Origin
from harness.records.seen import FaultClass
from harness.simulator.faults import REGISTRY
from harness.simulator.faults.fault import Fault
from harness.simulator.reply import Reply
from harness.simulator.wire import PROTOCOLS
from harness.simulator.wire.protocol import BadRequestError, Wire
from harness.simulator_config import PROVIDERS, SimulatorConfig

METHODS: Final = tuple(
    name for name in vars(Wire) if callable(getattr(Wire, name)) and not name.startswith("_")
)


class _ForeignFault(Guarded):
    """A fault of another package: what it serves is looked at."""

    def serve(self, scene: Any) -> Reply:
        """Return what the caller gets."""
        served = self._origin.guarded(self._inner.serve, "serve()")(scene)
        if not isinstance(served, Reply):
            raise self._origin.broken(f"served {type(served).__name__}, not a Reply")
        return served


def fault(found: Any, origin: Origin) -> Fault:
    """Return a fault of another package.

    Raises:
        TypeError: it is none.
        ValueError: it is one that has another name, or a class that there is none of.
    """
    if isinstance(found, type) or not callable(getattr(found, "serve", None)):
        msg = f"is no fault: {_kind_of(found)} has no serve(scene)"
        raise TypeError(msg)
    if getattr(found, "fault_class", None) not in get_args(FaultClass):
        msg = f"is no fault: its fault_class is none of {', '.join(get_args(FaultClass))}"
        raise ValueError(msg)
    if getattr(found, "kind", None) != origin.name:
        msg = f"is the fault {getattr(found, 'kind', None)!r}: name its entry point so"
        raise ValueError(msg)
    return cast(Fault, _ForeignFault(found, origin))


def protocol(found: Any, origin: Origin) -> Callable[[], Wire]:
    """Return what makes a protocol of another package.

    Raises:
        TypeError: it makes none.
        ValueError: it makes one that has another name, or a provider whose errors nobody words.
    """
    if not callable(found):
        msg = f"is no protocol: {_kind_of(found)} can't be called to make one"
        raise TypeError(msg)
    make = origin.guarded(found, "making the protocol")
    wire = make()
    if missing := [name for name in METHODS if not callable(getattr(wire, name, None))]:
        msg = f"is no protocol: it has no {', '.join(missing)}"
        raise TypeError(msg)
    if getattr(wire, "name", None) != origin.name:
        msg = f"is the protocol {getattr(wire, 'name', None)!r}: name its entry point so"
        raise ValueError(msg)
    if getattr(wire, "provider", None) not in PROVIDERS:
        msg = (
            f"is no protocol: its provider, in whose words errors are told, is none of {', '.join(PROVIDERS)}"
        )
        raise ValueError(msg)
    for name, kind in (("operation", str), ("stream_type", bytes), ("tells_when", bool)):
        if not isinstance(getattr(wire, name, None), kind):
            msg = f"is no protocol: its {name} is not of type {kind.__name__}"
            raise TypeError(msg)
    return lambda: cast(Wire, Guarded(make(), origin, (BadRequestError,)))


def _kind_of(found: Any) -> str:
    return f"class {found.__name__}" if isinstance(found, type) else f"what is of type {type(found).__name__}"


FAULTS: Final[Extended[Fault]] = Extended("agentrig.faults", REGISTRY, fault)
WIRES: Final[Extended[Callable[[], Wire]]] = Extended(
    "agentrig.protocols", MappingProxyType({each().name: each for each in PROTOCOLS}), protocol
)


def known_faults() -> Collection[str]:
    """Return the kinds that a `FaultRule` may name, in order; to ask for another package's loads it."""
    return FAULTS


def known_protocols() -> Collection[str]:
    """Return the names that `SimulatorConfig.protocols` may have; to ask for another package's loads it."""
    return WIRES


def unknown_names(config: SimulatorConfig) -> str | None:
    """Say which fault or protocol a configuration names that there is none of; None where there is each.

    Raises:
        PluginError: what it names is another package's, and broken.
    """
    for number, rule in enumerate(config.faults):
        if rule.kind not in FAULTS:
            return f"faults.{number}.kind: there is no fault {rule.kind!a}. Known: {', '.join(FAULTS)}"
    for name in config.protocols:
        if name not in WIRES:
            return f"protocols: there is no {name!a}. Known: {', '.join(WIRES)}"
    return None
