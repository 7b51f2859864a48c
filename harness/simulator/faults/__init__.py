"""The faults that the simulator can serve: one file each, and this explicit registry of them.

To add one, copy the file of a fault of the same sort, change its `FAULT`, and name it in `_ALL`.
What a fault does is one of the effects in `effects.py`; how an error looks on the wire of a
provider is the business of that provider's protocol, not of the fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from harness.simulator.faults import (
    auth,
    bad_request,
    conn_reset,
    overloaded,
    rate_limit_requests,
    rate_limit_tokens,
)
from harness.simulator.faults.effects import Fault

_ALL = (auth, bad_request, conn_reset, overloaded, rate_limit_requests, rate_limit_tokens)

REGISTRY: Mapping[str, Fault] = MappingProxyType({module.FAULT.kind: module.FAULT for module in _ALL})


def known_faults() -> tuple[str, ...]:
    """Return the kinds that a `FaultRule` may name."""
    return tuple(sorted(REGISTRY))
