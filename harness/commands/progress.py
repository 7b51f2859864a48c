"""Shows on the terminal how far a run is: two live lines, or plain lines where there is no terminal."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn

from harness.load.launcher import LoadProgress
from harness.records.calibration import Calibration, describe
from harness.records.outcome import CheckResult, ExperimentResult, Outcome
from harness.records.spec import ExperimentSpec
from harness.report.words import tally
from harness.run.fit_to_machine import describe_scale

if TYPE_CHECKING:  # what the gate needs takes long to load, and no run needs it
    from harness.gate.decide import GateDecision

RATE_OVER_S = 2.0
MINUTE_S = 60
PLAIN_EVERY_S = 5.0
MOST_FIGURES = 3
"""That a look is told by: those that are furthest from being the same."""
"""Without a terminal, the load says a line this often."""
MARKS = {
    Outcome.PASS: "[green]held[/]",
    Outcome.FAIL: "[red]fell short[/]",
    Outcome.UNKNOWN: "[yellow]unknown[/]",
}


class Rate:
    """Answers a second, over the last `RATE_OVER_S` and a little more."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def now(self, elapsed_s: float, done: int) -> float | None:
        """Return it, None while too little was seen.

        Args:
            elapsed_s: since the load began; where it is less than before, another load has begun.
            done: answers so far.
        """
        if self._seen and elapsed_s < self._seen[-1][0]:
            self._seen.clear()  # an arm that runs once more
        self._seen.append((elapsed_s, done))
        while len(self._seen) > 1 and elapsed_s - self._seen[1][0] >= RATE_OVER_S:
            self._seen.popleft()
        from_s, before = self._seen[0]
        return (done - before) / (elapsed_s - from_s) if elapsed_s - from_s >= RATE_OVER_S else None


def _span(seconds: float) -> str:
    """Write a length of time as a person would say it."""
    return f"{seconds:.0f} s" if seconds < MINUTE_S else f"{seconds / MINUTE_S:.0f} min"


def moves(console: Console) -> bool:
    """Return whether lines can be written over there: at a terminal, and none that says it is dumb."""
    return console.is_terminal and not console.is_dumb_terminal


class TerminalProgress:
    """The progress of a run on a rich console.

    Args:
        console: where to; without a terminal, or at a dumb one, it gets plain lines.
        monotonic: seconds since any origin.
    """

    def __init__(self, console: Console, monotonic: Callable[[], float]) -> None:
        self._console = console
        self._monotonic = monotonic
        self._live = moves(console)
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}\n{task.fields[detail]}", markup=False),
            console=console,
            transient=True,
            disable=not self._live,
        )
        self._task: TaskID | None = None
        self._title = ""
        self._load_s = 0.0
        self._ends_s = 0.0
        self._rate = Rate()
        self._said_s = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def calibrated(
        self, calibration: Calibration, specs: Sequence[ExperimentSpec], as_written: Sequence[ExperimentSpec]
    ) -> None:
        """It is known what a request costs here: lines that stay."""
        self._line(describe(calibration))
        for spec, written in zip(specs, as_written, strict=True):
            if (line := describe_scale(spec, written)) is not None:
                self._line(line)

    def arm(self, experiment: str, arm: str, number: int, of: int, *, load_s: float, left_s: float) -> None:
        """Arm `number` of `of` begins; its load will last about `load_s`, and the whole run `left_s`."""
        self._title = f"{number}/{of} {experiment} · {arm}"
        self._load_s = load_s
        self._ends_s = self._monotonic() + left_s
        self._rate = Rate()
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(self._title, total=None, detail="")
        if not self._live:
            self._line(f"{self._title}: starts (load of {load_s:.0f} s; the run has {_span(left_s)} left)")

    def cell(self, name: str, number: int, of: int, *, kept: bool) -> None:
        """Cell `number` of `of` of a matrix begins, or is there already: one line that stays."""
        self._line(f"cell {number} of {of}: {name}{' is there already' if kept else ''}")

    def block(self, pair: int, of: int, scenario: str, side: str) -> None:
        """A block of pair `pair` of at most `of` begins."""
        self._title = f"pair {pair} of at most {of} · {scenario} · {side}"
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(self._title, total=None, detail="")
        self._load_s = 0.0
        self._rate = Rate()

    def decided(self, decision: GateDecision) -> None:
        """There was a look at the pairs so far: one line that stays."""
        self._title = ""
        undecided = decision.undecided
        shown = sorted(undecided, key=lambda each: -each.look.ratio)[:MOST_FIGURES]
        findings = ", ".join(
            f"{each.scenario} {each.measure.name} {each.look.ratio:.2f} times base's" for each in shown
        )
        more = f" and {len(undecided) - len(shown)} more" if len(undecided) > len(shown) else ""
        said = f"{findings}{more}" if findings else " ".join(decision.reasons)
        self._line(f"after {decision.pairs} pairs: {decision.verdict}{f'; {said}' if said else ''}")

    def phase(self, text: str) -> None:
        """Something that takes a while begins."""
        if self._task is None:
            self._task = self._bar.add_task(self._title, total=None, detail=text)
        if self._task is not None:
            self._bar.update(self._task, detail=text)
        if not self._live:
            self._line(self._titled(text))

    def load(self, progress: LoadProgress, elapsed_s: float) -> None:
        """The load goes on."""
        rate_rps = self._rate.now(elapsed_s, progress.done)
        parts = [
            f"{progress.done}/{progress.planned}",
            "" if rate_rps is None else f"{rate_rps:.0f}/s",
            f"{progress.errors} errors",
            f"{progress.in_flight} in flight",
            "" if progress.p99_ms is None else f"p99 {progress.p99_ms:.0f} ms",
        ]
        if self._load_s:
            left_s = max(0.0, self._ends_s - self._monotonic())
            parts.append(f"{max(0.0, self._load_s - elapsed_s):.0f} s left, {_span(left_s)} in all")
        detail = ", ".join(filter(None, parts))
        if self._task is not None:
            self._bar.update(self._task, detail=detail)
        if not self._live and self._monotonic() - self._said_s >= PLAIN_EVERY_S:
            self._said_s = self._monotonic()
            self._line(self._titled(detail))

    def _titled(self, text: str) -> str:
        return f"{self._title}: {text}" if self._title else text

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def arm_judged(self, experiment: str, arm: str, checks: Sequence[CheckResult]) -> None:
        """An arm is over: what could be told of it already, in one line that stays."""
        if checks:
            good = sum(check.verdict is Outcome.PASS for check in checks)
            mark = MARKS[Outcome.PASS if good == len(checks) else Outcome.FAIL]
            what = "came out as they must" if checks[0].control else "held"
            self._console.print(
                f"{experiment} · {arm}: so far {mark} ({good} of {len(checks)} checks {what})",
                highlight=False,
            )

    def judged(self, result: ExperimentResult) -> None:
        """An experiment has its verdict: one line that stays."""
        self._console.print(
            f"{result.name}: {MARKS[result.verdict]} ({tally(result.checks)})", highlight=False
        )
