"""Whether the container can take requests: what `/readyz` says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from reference_agent.patterns.busy_signal import BusySignal


@dataclass(slots=True)
class Health:
    """Where the container is between its start and its end."""

    started: bool = False
    draining: bool = False


async def not_ready_because(
    health: Health, busy: BusySignal, ping_store: Callable[[], Awaitable[None]]
) -> str | None:
    """Return why the container is not ready, None when it is.

    Args:
        health: whether it is starting or draining.
        busy: whether it has a free slot.
        ping_store: raises when the session store can't be reached.
    """
    if health.draining:
        return "draining"
    if not health.started:
        return "starting"
    if busy.state.busy:
        return "busy"
    try:
        await ping_store()
    except Exception:  # noqa: BLE001 - whatever it is, no request could be answered
        return "the session store can't be reached"
    return None
