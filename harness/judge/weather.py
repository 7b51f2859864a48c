"""Which weather befell what: instants and containers against the windows of an arm."""

from __future__ import annotations

from collections.abc import Collection

from harness.records.history import ArmHistory, JoinedRequest
from harness.records.setup import Window

UNHOOKED = "the start-up hook was not in all that were restored: they are no copies"
OF_TOOLS = "(tools)"
"""How the name of weather of the tool server ends."""
RECOVERY_S = 5.0
"""For so long after weather a failure may still be its doing."""


def copied(history: ArmHistory) -> bool:
    """Whether all restored containers are copies of one snapshot, as the start-up hook makes them."""
    return all(copy.hooked for copy in history.facts.restored)


def weathers(history: ArmHistory) -> tuple[Window, ...]:
    """Return the weather that there was."""
    return tuple(window for window in history.facts.windows if window.kind == "weather")


def blocks(history: ArmHistory) -> tuple[Window, ...]:
    """Return that in which nothing could be kept."""
    return tuple(window for window in weathers(history) if window.blocks)


def blocked_at(time_s: float, container: str | None, history: ArmHistory, since_s: float = 0.0) -> bool:
    """Whether a container could keep nothing at an instant (Unix), and that for `since_s` already."""
    at_s = time_s - history.facts.start_s
    return any(
        window.from_s + since_s <= at_s < window.to_s and befell(window, container)
        for window in blocks(history)
    )


def in_weather(
    request: JoinedRequest, history: ArmHistory, after_s: float = 0.0, whose: Collection[str | None] = ()
) -> bool:
    """Whether there was weather while a request lasted, or up to `after_s` before.

    Args:
        request: the request.
        history: of the arm.
        after_s: for so long after it there still is.
        whose: weather that counts: that of these containers; of the request's own by default.
    """
    from_s = request.row.sent_s - history.facts.start_s
    to_s = request.row.end_s - history.facts.start_s
    return any(
        window.from_s <= to_s
        and from_s < window.to_s + after_s
        and any(befell(window, name) for name in whose or (request.container,))
        for window in weathers(history)
    )


def clear_since(request: JoinedRequest, history: ArmHistory, of: str = "") -> float | None:
    """Return how many seconds before a request was sent the last weather that befell its container ended.

    Args:
        request: the request; where its container is not known, it may have been any.
        history: of the arm.
        of: how the names end of the weather that is looked at, empty for all.

    Returns:
        None where there was weather while it lasted, also such as began meanwhile, or none before it.
    """
    from_s = request.row.sent_s - history.facts.start_s
    to_s = request.row.end_s - history.facts.start_s
    mine = [each for each in weathers(history) if each.name.endswith(of) and befell(each, request.container)]
    if any(window.from_s <= to_s and from_s < window.to_s for window in mine):
        return None
    return min((from_s - window.to_s for window in mine if window.to_s <= from_s), default=None)


def befell(window: Window, container: str | None) -> bool:
    """Whether weather befell a container; one that is not known may have been any."""
    return window.container is None or container is None or window.container == container
