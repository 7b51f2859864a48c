"""Shows on the terminal how far a run is: a live bar, or plain lines where there is no terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from harness.gate.decide import Decision
from harness.load.child import LoadProgress
from harness.records import ExperimentResult, Outcome
from harness.report.words import tally

PLAIN_EVERY_S = 5.0
"""Without a terminal, the load says a line this often."""
MARKS = {
    Outcome.PASS: "[green]held[/]",
    Outcome.FAIL: "[red]fell short[/]",
    Outcome.UNKNOWN: "[yellow]unknown[/]",
}


class TerminalProgress:
    """The progress of a run on a rich console.

    Args:
        console: where to; without a terminal it gets plain lines.
        monotonic: seconds since any origin.
    """

    def __init__(self, console: Console, monotonic: Callable[[], float]) -> None:
        self._console = console
        self._monotonic = monotonic
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[detail]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._title = ""
        self._load_s = 0.0
        self._said_s = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def arm(self, experiment: str, arm: str, number: int, of: int, seconds: float) -> None:
        """Arm `number` of `of` begins; its load will last about `seconds`."""
        self._title = f"{number}/{of} {experiment} · {arm}"
        self._load_s = seconds
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(self._title, total=None, detail="")
        if not self._console.is_terminal:
            self._line(f"{self._title}: starts (load of {seconds:.0f} s)")

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

    def looked(self, decision: Decision) -> None:
        """There was a look at the pairs so far: one line that stays."""
        told = ", ".join(
            f"{each.scenario} {each.measure.name} {each.look.ratio:.2f} "
            f"({each.look.low:.2f} to {each.look.high:.2f})"
            for each in decision.findings
        )
        self._line(f"after {decision.pairs} pairs: {decision.verdict}. {told or ' '.join(decision.reasons)}")

    def phase(self, text: str) -> None:
        """Something that takes a while begins."""
        if self._task is not None:
            self._bar.update(self._task, total=None, detail=text)
        if not self._console.is_terminal:
            self._line(f"{self._title}: {text}")

    def load(self, progress: LoadProgress, elapsed_s: float) -> None:
        """The load goes on."""
        left_s = max(0.0, self._load_s - elapsed_s)
        p99 = "" if progress.p99_ms is None else f", p99 {progress.p99_ms:.0f} ms"
        detail = (
            f"{progress.done}/{progress.planned} answered, {progress.errors} errors, "
            f"{progress.in_flight} in flight{p99}" + (f", {left_s:.0f} s left" if self._load_s else "")
        )
        if self._task is not None:
            self._bar.update(
                self._task,
                total=max(self._load_s, 1e-3),
                completed=min(max(elapsed_s, 0.0), self._load_s),
                detail=detail,
            )
        if not self._console.is_terminal and self._monotonic() - self._said_s >= PLAIN_EVERY_S:
            self._said_s = self._monotonic()
            self._line(f"{self._title}: {detail}")

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def judged(self, result: ExperimentResult) -> None:
        """An experiment has its verdict: one line that stays."""
        self._console.print(
            f"{result.name}: {MARKS[result.verdict]} ({tally(result.checks)})", highlight=False
        )
