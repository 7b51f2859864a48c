"""What installed packages add to the simulator: `agentrig.faults` and `agentrig.protocols`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from functools import wraps
from types import MappingProxyType
from typing import Any, Final, cast, get_args, get_type_hints

from harness.outside.plugins import Extended, Guarded, Origin, wrong_in, wrong_type
from harness.records.seen import FaultClass
from harness.simulator.faults import REGISTRY
from harness.simulator.faults.fault import Fault
from harness.simulator.reply import Ending, Reply
from harness.simulator.wire import PROTOCOLS
from harness.simulator.wire.protocol import BadRequestError, ModelRequest, Wire
from harness.simulator_config import PROVIDERS, SimulatorConfig

METHODS: Final = tuple(
    name for name in vars(Wire) if callable(getattr(Wire, name)) and not name.startswith("_")
)


RETURNED: Final = {name: get_type_hints(getattr(Wire, name))["return"] for name in METHODS}
STATUSES: Final = range(200, 600)
SLOW_S: Final = 0.05
SLOW_IN_A_ROW: Final = 3
"""A machine that stands still makes one call slow; so many in a row are so by themselves."""
TOO_SLOW_S: Final = 2.0
"""Of one call: then the machine is none to measure on, either."""


class Prompt:
    """Looks at how long the calls of one package take: while one lasts, nobody else is answered.

    What waits would be taken for a slow model, and a slow model for a slow agent.
    """

    def __init__(self, origin: Origin, now: Callable[[], float] = time.monotonic) -> None:
        self._origin = origin
        self._now = now
        self._slow = 0

    def timed(self, function: Callable[..., Any], doing: str) -> Callable[..., Any]:
        """Return a function that fails, with a sentence, where it keeps everybody waiting."""

        @wraps(function)
        def call(*args: Any, **named: Any) -> Any:
            begun_s = self._now()
            made = function(*args, **named)
            took_s = self._now() - begun_s
            self._slow = self._slow + 1 if took_s > SLOW_S else 0
            if self._slow >= SLOW_IN_A_ROW or took_s > TOO_SLOW_S:
                raise self._origin.broken(
                    f"took {took_s:.2g} s at {doing}, and meanwhile nobody is answered: "
                    "say when something is due, in a Reply, and wait for nothing"
                )
            return made

        return call


class _ForeignFault(Guarded):
    """A fault of another package: what it serves is looked at."""

    def __init__(self, inner: Any, origin: Origin) -> None:
        super().__init__(inner, origin)
        self._serve = Prompt(origin).timed(origin.guarded(inner.serve, "serve()"), "serve()")

    def serve(self, scene: Any) -> Reply:
        """Return what the caller gets."""
        served = self._serve(scene)
        if not isinstance(served, Reply):
            raise self._origin.broken(f"served {type(served).__name__}, not a Reply")
        if (wrong := wrong_in(served) or _impossible(served)) is not None:
            raise self._origin.broken(f"served a Reply that can't be sent: {wrong}")
        return served


def _impossible(reply: Reply) -> str | None:
    """Say what HTTP, or time, does not allow of a reply; None for nothing."""
    dues = [due_s for due_s, _ in reply.steps]
    names = {name.lower() for name, _ in reply.headers}
    body = sum(len(piece) for _, piece in reply.steps)
    whole = reply.ending is Ending.CLEAN
    wrong = {
        "a time that is below 0, or none": not all(
            math.isfinite(each) and each >= 0 for each in (*dues, reply.head_s, reply.hang_s)
        ),
        "steps: not in the order of their time, from head_s on": dues != sorted(dues)
        or min(dues, default=reply.head_s) < reply.head_s,
        "status: 0 is for what ends without a byte": not reply.status and (whole or bool(dues)),
        f"status: {reply.status} is none of HTTP": reply.status != 0 and reply.status not in STATUSES,
        "headers: one has a line break": any(
            char in name + value for name, value in reply.headers for char in b"\r\n\0"
        ),
        "headers: the length is told by `length`": bool(names & {b"content-length", b"transfer-encoding"}),
        f"length: {reply.length}, where the steps have {body} bytes": whole
        and reply.length not in {None, body},
    }
    return next((said for said, is_so in wrong.items() if is_so), None)


class _ForeignWire(Guarded):
    """A protocol of another package: what its methods return is looked at."""

    def __init__(self, inner: Any, origin: Origin) -> None:
        super().__init__(inner, origin, (BadRequestError,))
        prompt = Prompt(origin)
        for name in METHODS:  # once, not for each call of them
            setattr(self, name, self._looked_at(name, prompt))

    def _looked_at(self, name: str, prompt: Prompt) -> Callable[..., Any]:
        doing = f"{name}()"
        asked = prompt.timed(super().__getattr__(name), doing)

        @wraps(asked)
        def call(*args: Any, **named: Any) -> Any:
            made = asked(*args, **named)
            wrong = wrong_type(made, RETURNED[name], doing)
            if wrong is None and isinstance(made, ModelRequest):
                wrong = wrong_in(made)
            if wrong is None and name == "chunks" and not made:
                wrong = "no chunk at all, where one ends the answer"
            if wrong is not None:
                raise self._origin.broken(f"returned what can't be used from {doing}: {wrong}")
            return made

        return call


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
    return lambda: cast(Wire, _ForeignWire(make(), origin))


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
