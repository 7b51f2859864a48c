"""What a calibration looks at: an arm of a run, or a service of a live system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.analysis.join import join
from harness.clock import Clock
from harness.errors import InputError
from harness.observe.limits import Limits
from harness.observe.look import histories
from harness.observe.sources.source import Source, Time
from harness.records.history import ArmHistory
from harness.run.folder import RunFolder
from harness.run.pipeline import read_arms

LOSSY: Final = ("truncated", "lost", "untimely")
"""Kinds of doubt about a store that keep a calibration from being sure; others touch the checks alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of a service.

    Attributes:
        name: of it.
        history: what happened.
        lossy: what the store does not have, a sentence each.
        sampled: share of its traces that it has, None where it has all, or nothing tells.
    """

    name: str
    history: ArmHistory
    lossy: tuple[str, ...] = ()
    sampled: float | None = None


def of_run(path: Path, arm: str | None, tell: Callable[[RunFolder], None]) -> Seen:
    """Return an arm of a saved run.

    Args:
        path: its folder.
        arm: `EXPERIMENT/ARM`; None for the first that is no control.
        tell: is given the folder, once all of it is read.

    Raises:
        InputError: there is no run, or no such arm, or nothing was measured in it.
    """
    folder = RunFolder.open(path)
    saved = read_arms(folder)
    tell(folder)
    names = [f"{experiment}/{name}" for experiment, name in saved]
    under_test = [f"{e}/{a}" for (e, a), data in saved.items() if not data.facts.control and data.requests]
    chosen = arm or next(iter(under_test), None)
    if chosen is None:
        raise InputError(
            f"{path}: no arm of it has any request: it ended before its first load. Run it again."
        )
    if chosen not in names:
        raise InputError(f"--arm {chosen}: there is none in {path}. It has: {', '.join(names)}.")
    experiment, _, name = chosen.partition("/")
    data = saved[experiment, name]
    if not data.requests:
        raise InputError(f"{path}: {chosen} has no request. Give another --arm, or run it again.")
    return Seen(name=chosen, history=join(data))


def of_traces(
    source: Source, services: Sequence[str], since_s: float | None, clock: Clock, word: str
) -> Seen:
    """Return the service of a live system with the most requests.

    Raises:
        InputError: there is none.
        StartError: the source can't be asked.
    """
    now_s = clock.now()
    time = Time(from_s=None if since_s is None else now_s - since_s, to_s=now_s)
    found = histories(source, services, Limits().known, time, clock.now)
    group, (history, doubts) = max(found.items(), key=lambda each: len(each[1][0].requests))
    if not history.requests:
        raise InputError(f"{word}: holds no request. Look back longer, or give another --service.")
    lossy = tuple(doubt.said for doubt in doubts if doubt.kind in LOSSY)
    sampled = next((doubt.kept for doubt in doubts if doubt.kept is not None), None)
    return Seen(name="/".join(filter(None, group)), history=history, lossy=lossy, sampled=sampled)
