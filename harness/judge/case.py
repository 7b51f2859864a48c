"""What an invariant is given, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from harness.judge.evidence import Evidence
from harness.records.history import SPANS_LOST, ArmHistory, JoinedRequest
from harness.records.outcome import ArmSummary

EVIDENCE = 10
CASES_LOST = SPANS_LOST
"""Above this share of the expected cases, those that are missing make unknown what holds in the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One arm, as an invariant looks at it.

    Attributes:
        history: what happened.
        summary: its figures.
        versus: the figures of the arm to compare with, None where there is none.
        limit: what the figure is held against.
    """

    history: ArmHistory
    summary: ArmSummary
    versus: ArmSummary | None
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an invariant found.

    Attributes:
        holds: None when the data doesn't tell.
        observed: the figure.
        message: one sentence on what was seen.
        traces: the evidence, the worst first.
        cases: how many tested cases it rests on.
        expected: how many there would be, had nothing been lost; None where nobody can tell.
        limit: what the figure was held against; None where it is what was asked for.
        late: whether all that it found wrong is requests whose time was over: a slow machine can do that.
    """

    holds: bool | None
    observed: float | None
    message: str
    traces: tuple[str, ...] = ()
    cases: int = 0
    expected: int | None = None
    limit: float | None = None
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Invariant:
    """One thing that must hold.

    Attributes:
        id: its name in experiments and reports.
        title: in a few words.
        limit: what the figure is held against when the experiment gives none.
        unit: of the figure and its limit.
        timing: whether a slow machine can make it fail: then it needs successes, not just answers.
        instants: whether it compares moments of different processes to milliseconds: a machine that stands
            still between two of them can make it fail.
        clocks: whether it compares the clocks of different processes: then these must agree.
        of_spans: whether it rests on the spans of all requests: where some were lost, what it counts is too
            few, and what it misses may be in those.
        of_calls: whether it looks at calls and their attempts, or at whose they are: then it must be possible
            to tell the calls of different requests apart.
        compares: whether it needs another arm to compare with.
        remedy: what to do when it falls short.
        case: what a tested case is, in the plural: one in which the rule could have been broken.
        cases_needed: fewer of them tell nothing. Where nothing else is said beside the number, it is by the
            rule of three: of `n` cases without a fault, 95 of 100 times fewer than 3 in `n` have one.
        more_cases: what to do when there are too few.
        of_errors: whether requests that fail are what it looks for.
        of_refusals: whether those that a container refused are.
        examine: looks at one arm.
        needs: what an agent has to emit for it to be made at all.
    """

    id: str
    title: str
    limit: float
    unit: str
    remedy: str
    case: str
    cases_needed: int
    more_cases: str
    examine: Callable[[Case], Finding]
    timing: bool = False
    instants: bool = False
    clocks: bool = False
    of_spans: bool = False
    of_calls: bool = False
    compares: bool = False
    of_errors: bool = False
    of_refusals: bool = False
    needs: tuple[Evidence, ...] = ()


def no_data(what: str) -> Finding:
    """Say that there was nothing to look at."""
    return Finding(holds=None, observed=None, message=f"no data: {what}")


def examined(invariant: Invariant, case: Case, *, control: bool = False) -> Finding:
    """Let an invariant look at an arm; with too few tested cases it is unknown, whatever it shows.

    Where nothing at all may be wrong, a single case shows that something is. That a control arm has its fault
    and no other takes as many cases as that a rule holds. And where cases are missing that must have been
    there, what is wrong may be in these: then a rule that holds in the others is unknown, too.

    Args:
        invariant: what must hold.
        case: the arm.
        control: whether it is to be found failing.
    """
    finding = invariant.examine(case)
    counts = invariant.unit.startswith("{")
    shown = finding.holds is False and not control and (counts or case.limit == 0)
    if finding.cases >= invariant.cases_needed or shown or (not finding.cases and finding.holds is None):
        return _unless_some_are_missing(finding, invariant)
    said = f"too few cases: {finding.cases} {invariant.case}, {invariant.cases_needed} are needed"
    return replace(
        finding, holds=None, message=f"{said}. Seen was: {_sentence(finding.message)} {invariant.more_cases}"
    )


def _unless_some_are_missing(finding: Finding, invariant: Invariant) -> Finding:
    expected = finding.expected or 0
    if not finding.holds or expected - finding.cases <= CASES_LOST * expected:
        return finding
    said = f"of {expected} {invariant.case} that were to be expected, only {finding.cases} were seen"
    return replace(
        finding,
        holds=None,
        message=f"{said}: what is wrong may be in the others. Seen was: {finding.message}",
    )


def _sentence(text: str) -> str:
    return f"{text.removesuffix('.')}."


def worst(traces: Iterable[str | None]) -> tuple[str, ...]:
    """Return the first few of some trace ids, each once."""
    return tuple(dict.fromkeys(trace for trace in traces if trace))[:EVIDENCE]


def at_most(
    case: Case, observed: float | None, what: str, traces: Sequence[str] = (), *, cases: int
) -> Finding:
    """Hold a figure against an upper limit."""
    if observed is None:
        return no_data(what)
    return Finding(
        holds=observed <= case.limit,
        observed=observed,
        message=f"{what} {observed:.4g}, limit {case.limit:.4g}",
        traces=tuple(traces),
        cases=cases,
    )


def ratio_at_most(
    case: Case, mine_ms: float, theirs_ms: float, name: str, requests: Iterable[JoinedRequest]
) -> Finding:
    """Hold the ratio of an arm's latency and another's against an upper limit.

    Args:
        case: of the arm.
        mine_ms: its latency.
        theirs_ms: the other arm's, above 0.
        name: which latency that is.
        requests: those it is of; the successes are the cases, and the slowest of them the evidence.
    """
    slowest = sorted((each.row for each in requests if each.row.ok), key=lambda row: -row.latency_s)
    what = f"{name} {mine_ms:.0f} ms against {theirs_ms:.0f} ms in the other arm: ratio"
    traces = worst(row.trace_id for row in slowest)
    return at_most(case, mine_ms / theirs_ms, what, traces, cases=len(slowest))
