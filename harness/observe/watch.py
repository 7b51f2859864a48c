"""Look after look at a live system: a sliding window, a line for each, a report where something changed."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

from harness.clock import Clock
from harness.errors import AgentrigError, InputError, StartError
from harness.judge.verdict import worst_of
from harness.observe.gathering import OBSERVED
from harness.observe.look import SETTLED_S, Look, Seen, judged, written
from harness.observe.metrics import Metrics, Window
from harness.records.outcome import CheckResult, ExperimentResult, Outcome

MOST_REPORTS: Final = 100
"""What is kept of them; the oldest goes when there is one more."""
MOST_NAMED: Final = 4
WORDS: Final = {Outcome.PASS: "held", Outcome.FAIL: "fell short", Outcome.UNKNOWN: "unknown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is asked.

    Attributes:
        look: at what, and how far back; its `out` is the folder in which each report gets one of its own.
        every_s: from the begin of a look to that of the next.
        times: windows to look at; None to go on until it is ended.
        metrics: gets each window.
        tell: gets a line for each.
    """

    look: Look
    every_s: float
    times: int | None
    metrics: Metrics
    tell: Callable[[str], None]


def watch(asked: Watch, clock: Clock) -> Outcome:
    """Look again and again; what goes wrong with a source is told, and asked again in the next window.

    Returns:
        The worst verdict of all windows, once so many were looked at as were asked for.
    """
    reports = _Reports(asked.look.out or Path("runs"))
    verdicts = list[Outcome]()
    if asked.look.source.listens_since_s is not None:
        clock.sleep(asked.every_s + SETTLED_S)
    due_s, looked_s = clock.monotonic(), float("inf")
    for number in _numbers(asked.times):
        if number:
            now_s = clock.monotonic()
            due_s = max(due_s + asked.every_s, now_s)  # one that took too long delays the next
            clock.sleep(due_s - now_s)
        window, said = _window(asked.look, clock)
        if window.seen is not None:
            said += reports.of(window.seen)
        said += _between(window, asked.look.since_s, looked_s)
        looked_s = window.at_s if window.answered else looked_s
        instant = datetime.fromtimestamp(window.at_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        asked.tell(f"{instant} {WORDS[window.verdict]}: {said}")
        asked.metrics.take(window)  # last: what it serves was told
        verdicts = [worst_of([*verdicts, window.verdict])]
    return worst_of(verdicts)


def _between(window: Window, since_s: float | None, looked_s: float) -> str:
    """Return what to say of the time between a window and the last one that was answered."""
    left_s = 0.0 if since_s is None else window.at_s - since_s - (looked_s - SETTLED_S)
    return f"; nothing looked at the {left_s:.0f} s before it" if left_s >= 1 else ""


def _numbers(times: int | None) -> Iterator[int]:
    return iter(count() if times is None else range(times))


def _window(asked: Look, clock: Clock) -> tuple[Window, str]:
    """Look once, and return what is known then and what is said of it."""
    now_s, began_s = clock.now(), clock.monotonic()
    asked = replace(asked, salt=f"{asked.salt}-{round(now_s * 1e3) % 1000:03d}")
    try:
        seen: Seen | None = judged(asked, clock)
        verdict = seen.result.verdict if seen is not None else Outcome.UNKNOWN
        said, answered = _told(seen.result.experiments if seen is not None else ()), True
    except AgentrigError as error:
        seen, verdict, said, answered = None, Outcome.UNKNOWN, str(error), isinstance(error, InputError)
    window = Window(
        at_s=now_s, took_s=clock.monotonic() - began_s, verdict=verdict, answered=answered, seen=seen
    )
    return window, said


def _told(results: tuple[ExperimentResult, ...]) -> str:
    return "; ".join(map(_of_service, results))


def _of_service(result: ExperimentResult) -> str:
    summary = result.arms[OBSERVED]
    p99 = "" if summary.p99_ms is None else f", p99 {summary.p99_ms:,.0f} ms"
    short = [check.id for check in _observed(result) if check.verdict is Outcome.FAIL]
    unknown = [check.id for check in _observed(result) if check.verdict is Outcome.UNKNOWN]
    parts = [f"{words} {_named(ids)}" for words, ids in (("fell short", short), ("unknown", unknown)) if ids]
    held = sum(check.verdict is Outcome.PASS for check in _observed(result))
    figures = f"{summary.requests:,} requests, {summary.errors:,} errors{p99}"
    return f"{result.name} {figures}, {held} checks held" + "".join(f", {part}" for part in parts)


def _named(ids: list[str]) -> str:
    more = f" and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else ""
    return " ".join(ids[:MOST_NAMED]) + more


def _observed(result: ExperimentResult) -> list[CheckResult]:
    return [check for check in result.checks if check.arm == OBSERVED]


class _Reports:
    """Reports of the windows in which a verdict changed: hours that are all the same are told once.

    Args:
        folder: in which each gets a folder of its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: dict[tuple[str, str], Outcome] | None = None
        self._kept: deque[Path] = deque()

    def of(self, seen: Seen) -> str:
        """Write the report of a window, if it is to be, and return what to say of it."""
        verdicts = {
            (each.name, check.id): check.verdict
            for each in seen.result.experiments
            for check in _observed(each)
        }
        if verdicts == self._last:
            return ""
        path = self._folder / f"observe-{seen.result.run_id}"
        try:
            written(seen, path)
        except (InputError, StartError) as error:  # a full disk ends no watch
            return f" (no report: {error})"
        self._last = verdicts
        self._kept.append(path)
        if len(self._kept) > MOST_REPORTS:
            shutil.rmtree(self._kept.popleft(), ignore_errors=True)
        return f" ({path / 'report.html'})"
