"""Which commit made it worse? A commit in the middle is asked, again and again, beside the good one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from harness.clock import Clock
from harness.errors import ExitCode, InputError
from harness.gate.blocks import Side
from harness.gate.comment import title
from harness.gate.decide import GateDecision, GateVerdict
from harness.gate.ending import EXITS, SUMMARY, Ending, SideError, write_text
from harness.gate.scenario import GateScenario
from harness.gate.session import GateProgress, GateSettings, gate
from harness.gate.source import SHALLOW, ProgramError, Runner, Sources, is_shallow, run_program
from harness.gate.statistics import LookOutcome
from harness.report.markdown import code, escape

Figure = tuple[str, str]
"""Scenario and name of a measure."""
SHORT: Final = 10
"""Letters of a commit that name it."""
CALLS: Final = {LookOutcome.FAIL: True, LookOutcome.PASS: False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspects:
    """What a search came to.

    Attributes:
        commits: those of which one made it worse, the oldest first: one, unless some could not be told.
        asked: how often the gate was.
    """

    commits: tuple[str, ...]
    asked: int


def commits_between(good: str, bad: str, run: Runner) -> list[str]:
    """Return the commits after a good one up to a bad one, along first parents, the oldest first.

    Raises:
        InputError: one is no commit, none lies between, or the first of them does not come after the good
            one: what it is worse than is then another commit.
    """
    for words in (good, bad):
        if not words.strip() or words.startswith("-"):
            raise InputError(f"--bisect {words!r}: names no commit")
    asked = ("--first-parent", "--reverse", "--parents", f"{good}..{bad}", "--")
    try:
        listed = run(("git", "rev-list", *asked), Path.cwd())
        before = run(("git", "rev-parse", f"{good}^{{commit}}"), Path.cwd()).strip()
    except ProgramError as error:
        why = f". Perhaps they are elsewhere, for {SHALLOW}" if is_shallow(run) else ""
        raise InputError(
            f"--bisect {good} {bad}: these are no two commits of the repository here{why}"
        ) from error
    if not (found := [line.split() for line in listed.splitlines() if line.strip()]):
        raise InputError(f"--bisect {good} {bad}: there is no commit from {good} to {bad}")
    (first, *parents), *_ = found
    if before not in parents[:1]:
        raise InputError(
            f"--bisect {good} {bad}: the line of first parents to {bad} does not come from {good}: "
            f"{first[:SHORT]} is the first on it that {good} has not. Give a good one of "
            f"`git log --first-parent {bad}`" + (f"; and {SHALLOW}" if is_shallow(run) else "")
        )
    return [commit for commit, *_ in found]


def failed(decision: GateDecision) -> frozenset[Figure]:
    """Return the figures that are proved to be worse."""
    return frozenset(
        (each.scenario, each.measure.name) for each in decision.findings if each.look.call is LookOutcome.FAIL
    )


def is_worse(decision: GateDecision, figures: Collection[Figure]) -> bool | None:
    """Return whether a commit is worse in any of some figures; None where that can't be told."""
    called = [
        CALLS.get(each.look.call)
        for each in decision.findings
        if (each.scenario, each.measure.name) in figures
    ]
    if True in called:
        return True
    whole = len(called) == len(figures) and None not in called and decision.verdict is not GateVerdict.UNKNOWN
    return False if whole else None


def bisect(commits: Sequence[str], worse: Callable[[str], bool | None]) -> Suspects:
    """Find which commit made it worse.

    Args:
        commits: the oldest first; what is before the first is good, and the last is bad.
        worse: tells of a commit; None where it can't.
    """
    good, bad, untold, asked = -1, len(commits) - 1, set[int](), 0
    while open_ones := [each for each in range(good + 1, bad) if each not in untold]:
        middle = min(open_ones, key=lambda each: abs(2 * each - good - bad))
        asked += 1
        told = worse(commits[middle])
        if told is None:
            untold.add(middle)
        elif told:
            bad = middle
        else:
            good = middle
    return Suspects(commits=tuple(commits[good + 1 : bad + 1]), asked=asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came of looking for a commit.

    Attributes:
        whole: of the bad commit beside the good one.
        steps: what each commit that was asked came to, in words, in that order.
        suspects: the commits of which one made it worse; empty where the bad one is not proved to be.
    """

    whole: GateDecision
    steps: tuple[tuple[str, str], ...]
    suspects: tuple[str, ...]

    @property
    def ending(self) -> Ending:
        """How this ends."""
        if not self.suspects:
            code = EXITS.get(self.whole.verdict, ExitCode.UNKNOWN)
            return Ending(exit_code=code, title=f"no commit to look for: {title(self.whole)}")
        names = ", ".join(each[:SHORT] for each in self.suspects)
        said = f"{names} made it worse" if len(self.suspects) == 1 else f"one of {names} made it worse"
        return Ending(
            exit_code=ExitCode.FELL_SHORT,
            title=f"{said}: {title(self.whole)}",
            reasons=tuple(f"{commit[:SHORT]}: {said}" for commit, said in self.steps),
        )


def find_commit(
    good: str,
    bad: str,
    *,
    sources: Sources,
    scenarios: Sequence[GateScenario],
    settings: GateSettings,
    progress: GateProgress,
    clock: Clock,
) -> Found:
    """Find the commit between two that made the figures worse in which the later one fails.

    Each commit is asked beside the good one, in a folder of its own below that of `settings`.

    Raises:
        InputError: there is no commit between them.
        SideError: the good or the bad one does not start; what lies between and doesn't is gone around.
    """
    commits = commits_between(good, bad, run_program)
    base = sources.get(good, Side.BASE)
    steps: list[tuple[str, str]] = []

    def ask(commit: str) -> GateDecision:
        number = len(steps) + 1
        head = sources.get(commit, f"{Side.HEAD}-{number}")
        out = settings.out / f"{number}-{commit[:SHORT]}"
        sides = {Side.BASE: base, Side.HEAD: head}
        return gate(sides, scenarios, replace(settings, out=out), progress, clock)[1]

    whole = ask(commits[-1])
    figures = failed(whole)
    steps.append((commits[-1], title(whole)))

    def worse(commit: str) -> bool | None:
        try:
            decision = ask(commit)
        except (InputError, SideError) as error:
            if isinstance(error, SideError) and error.side == Side.BASE:
                raise
            steps.append((commit, f"gone around: {str(error).splitlines()[0]}"))
            return None
        told = is_worse(decision, figures)
        steps.append((commit, {True: "worse", False: "not worse", None: "can't tell"}[told]))
        return told

    suspects = bisect(commits, worse).commits if figures else ()
    return Found(whole=whole, steps=tuple(steps), suspects=suspects)


def write_found(found: Found, folder: Path, again: str) -> Ending:
    """Write what came of it: `summary.md` and `outcome.json`.

    Raises:
        StartError: they can't be written.
    """
    ending = found.ending
    lines = [
        f"## {'❌' if found.suspects else '❔'} agentrig gate: {escape(ending.title)}",
        "",
        "| commit | beside the good one |",
        "|---|---|",
        *(f"| {escape(commit[:SHORT])} | {escape(said)} |" for commit, said in found.steps),
        "",
        f"Again: {code(again)}",
    ]
    ending.write(folder)
    write_text(folder / SUMMARY, "\n".join(lines) + "\n")
    return ending
