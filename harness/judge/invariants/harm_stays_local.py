"""Weather that befalls one container harms no more requests than that container's share.

A container that can't work and says so at once is free again at once, and whoever sends to the one that has
the least in work sends it the next request, and the next: a black hole. One that tries again after a pause,
says that it is not ready, or lets another one be asked, is sent its share or less.

Of the requests that were sent while one container alone had weather, `f` failed, for no other reason that is
known; `1 / n` is its share of `n` containers. The figure is `(f - 1 / n) / (1 - 1 / n)`: 0 where its share
failed, 1 where all did.
"""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data, worst
from harness.judge.causes import unexplained
from harness.judge.weather import RECOVERY_S, weathers
from harness.records.history import ArmHistory
from harness.records.setup import Window

ENOUGH_REQUESTS = 30
"""Where each third one comes to the container and fails, so many are over the limit in less than one of 100
runs (`P(X >= 18)` = 0.2 % of Bin(30, 1/3)); of two containers, in 2 of 100."""


def _examine(case: Case) -> Finding:
    history = case.history
    alone = [window for window in weathers(history) if _alone(window, history)]
    if not alone:
        return no_data("no weather befell one container alone")
    containers = _there(history)
    if containers < 2:  # noqa: PLR2004 - a neighbour that is not to be harmed
        return no_data("there was no other container")
    met = [each for each in history.requests if _sent_in(each.row.sent_s - history.facts.start_s, alone)]
    traces = {each.row.trace_id for each in unexplained(history, weather=False)}
    failed = [each.row.trace_id for each in met if each.row.trace_id in traces]
    if not met:
        return no_data("nothing was sent while one container alone had weather")
    share = 1 / containers
    beyond = max(0.0, (len(failed) / len(met) - share) / (1 - share))
    return Finding(
        holds=beyond <= case.limit,
        observed=beyond,
        message=f"of {len(met)} requests that were sent while one of {containers} containers had weather, "
        f"{len(failed)} failed; its share is {share * len(met):.0f}",
        traces=worst(failed),
        cases=len(met),
    )


def _alone(window: Window, history: ArmHistory) -> bool:
    """Whether it befell one container, and no other weather was near that befell another one, or all."""
    return window.container is not None and not any(
        other.container != window.container
        and other.from_s <= window.to_s
        and window.from_s < other.to_s + RECOVERY_S
        for other in weathers(history)
    )


def _there(history: ArmHistory) -> int:
    return sum(each.joined_s is None and each.left_s is None for each in history.facts.containers)


def _sent_in(at_s: float, windows: list[Window]) -> bool:
    return any(window.from_s <= at_s < window.to_s for window in windows)


INVARIANT = Invariant(
    id="harm-stays-local",
    title="one container's weather harms no more than its share",
    limit=0.35,
    unit="1",
    remedy="Let a container that can't work say so where its balancer looks, and answer what it can't do so "
    "that another one is asked; or try again after a pause: who fails at once is sent the next one at once.",
    case="requests that were sent while one container alone had weather",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Let the weather of one container last longer, or send more.",
    examine=_examine,
)
