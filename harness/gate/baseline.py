"""Baselines: what a version measured when it ran alone, kept for when no base can run beside head.

A comparison with the past is much weaker than one side by side: between two sessions the machine itself
changes (its neighbours, its clock, its packages), and no number of requests averages that out. So the
session is the unit: each is boiled down to one figure, and what sessions of the same version differ by
is taken from the history. Until that is long enough, a difference is assumed that is seldom too small.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scipy.special import ndtri, stdtrit

from harness.gate.blocks import ERRORS, MEASURES, P99, Block, Measure
from harness.gate.decide import BLURRED_SHARE, blurred
from harness.gate.statistics import ALPHA, CONFIDENCE, LookOutcome
from harness.gate.work import ANSWERED, ASKED, CHANGED, so_little_of

ENOUGH: Final = 5
"""Sessions from which on their own spread is used."""
ASSUMED: Final = 0.10
"""Standard deviation of ln figure between sessions before that; what shared CI machines often show."""
LEAST: Final = 0.01
"""No history is taken to be calmer than this: some figures are the same to the last digit, for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """One session of one version: a line of a history file.

    Attributes:
        saved_s: Unix time.
        label: the version.
        scenario: what was asked.
        conditions: what must be the same for two sessions to be comparable: machine, Python, block, rate.
        blocks: how many.
        blurred: of these, in which the harness itself was in the way.
        errors, requests: of all blocks.
        figures: the median block's, by name of the measure.
    """

    saved_s: float
    label: str
    scenario: str
    conditions: Mapping[str, str]
    blocks: int
    blurred: int
    errors: int
    requests: int
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineComparison:
    """One figure of head against the history.

    Attributes:
        call: what follows.
        ratio: of head to the history's geometric mean.
        low: its lower bound, that all figures' hold together but for `ALPHA`: FAIL rests on it.
        high: its upper bound at `CONFIDENCE`: PASS rests on it.
        spread: standard deviation of ln figure between sessions; `assumed` when the history is too short.
        least: the smallest ratio that this comparison can call slower.
    """

    measure: Measure
    before: float
    now: float
    call: LookOutcome
    ratio: float
    low: float
    high: float
    spread: float
    assumed: bool
    least: float


def baseline(
    blocks: Sequence[Block], *, saved_s: float, label: str, scenario: str, conditions: Mapping[str, str]
) -> Baseline:
    """Boil the blocks of one scenario of one session down.

    Raises:
        ValueError: there is no block of it.
    """
    own = [block for block in blocks if block.scenario == scenario]
    if not own:
        raise ValueError(f"{scenario}: there is no block of it")
    names = set.intersection(*(set(block.figures) for block in own))
    figures = {
        each.name: statistics.median(block.figures[each.name] for block in own)
        for each in (*MEASURES, *ANSWERED)
        if each.name in names
    }
    if ERRORS.name in figures:  # what the model refused for good is no error: no base was refused beside it
        figures[ERRORS.name] = statistics.median(_per_success(block.errors, block.requests) for block in own)
    return Baseline(
        saved_s=saved_s,
        label=label,
        scenario=scenario,
        conditions=conditions,
        blocks=len(own),
        blurred=sum(map(blurred, own)),
        errors=sum(block.errors for block in own),
        requests=sum(block.requests for block in own),
        figures=figures,
    )


def obstacles(history: Sequence[Baseline], head: Baseline) -> list[str]:
    """Return why head can't be held against past sessions, a sentence each; empty when it can."""
    if not history:
        return ["the history has no session of it under the same conditions"]
    if head.blurred > BLURRED_SHARE * head.blocks:
        many = f"{head.blurred} of {head.blocks} blocks"
        todo = "Lower --rate, or leave it the machine"
        return [f"the harness was in the way in {many}: it sent late, or the cores were in use. {todo}"]
    if P99.name not in head.figures:
        return ["too few requests succeeded for a p99"]
    if lacking := sorted({name for each in history for name in each.figures} - set(head.figures)):
        return [f"past sessions have {', '.join(lacking)}, and head has not in each of its blocks"]
    if (said := _failed_more(history, head)) and not fails_more(history, head):
        return [f"{said}, and all of these in less than half of its blocks: a hiccup, or not. Run it again"]
    little = [(each, said) for each in ANSWERED if (said := _less(each, history, head, each.tolerance.fine))]
    return [
        f"{said}: {meaning}; where they are meant to be so {word}, begin a new history"
        for (meaning, word), said in ((so_little_of(each), said) for each, said in little[:1])
    ]


def less_work(history: Sequence[Baseline], head: Baseline) -> list[str]:
    """Return what head does less of for a request than past sessions did, a sentence each."""
    said = [_less(each, history, head, CHANGED) for each in (*ASKED, *ANSWERED)]
    return [f"head does less: {each}" for each in said if each]


def _less(measure: Measure, history: Sequence[Baseline], head: Baseline, limit: float) -> str | None:
    past = [each.figures[measure.name] for each in history if measure.name in each.figures]
    if not past or measure.name not in head.figures:
        return None
    before, now = statistics.median(past), head.figures[measure.name]
    if (before + measure.floor) <= limit * (now + measure.floor):
        return None
    return f"{measure.name} {now:.3g} against the past sessions' {before:.3g}"


def fails_more(history: Sequence[Baseline], head: Baseline) -> str | None:
    """Return what to say when head fails more of its requests than past sessions did, None when not.

    It takes its median block as well as all of them: a hiccup of the machine is no regression.
    """
    before = _per_success(sum(each.errors for each in history), sum(each.requests for each in history))
    usual = head.figures.get(ERRORS.name, _per_success(head.errors, head.requests))
    return _failed_more(history, head) if usual / before > ERRORS.tolerance.fine else None


def _failed_more(history: Sequence[Baseline], head: Baseline) -> str | None:
    errors, requests = sum(each.errors for each in history), sum(each.requests for each in history)
    ratio = _per_success(head.errors, head.requests) / _per_success(errors, requests)
    if ratio <= ERRORS.tolerance.fine:
        return None
    return f"head failed {head.errors} of {head.requests} requests, past sessions {errors} of {requests}"


def _per_success(errors: int, requests: int) -> float:
    return requests / max(requests - errors, 1)


def differences(history: Sequence[Baseline], head: Baseline) -> list[str]:
    """Return in what past sessions were not like head's, a sentence each; empty when comparable."""
    said = {
        f"{key} was {then} in {each.label}, and is {head.conditions.get(key)} now"
        for each in history
        for key, then in each.conditions.items()
        if head.conditions.get(key) != then
    }
    return sorted(said)


def compare(history: Sequence[Baseline], head: Baseline) -> list[BaselineComparison]:
    """Compare head with the past sessions of its scenario, figure by figure.

    The bound is that of a prediction: the next session of an unchanged version lies within
    mean +- t * s * sqrt(1 + 1/k) of k past ones (Hahn and Meeker, Statistical Intervals, section 4.8),
    on the logarithms of their medians.

    Args:
        history: past sessions of the scenario, any number from 1.
        head: the present one.

    Raises:
        ValueError: the history is empty.
    """
    if not history:
        raise ValueError("there is no past session to compare with")
    before = {
        each: [past.figures[each.name] for past in history if past.figures.get(each.name, 0.0) > 0]
        for each in MEASURES
        if each is not ERRORS  # see `fails_more`
    }
    known = [each for each, past in before.items() if past and head.figures.get(each.name, 0.0) > 0]
    return [_against(each, before[each], head.figures[each.name], ALPHA / len(known)) for each in known]


def _against(measure: Measure, before: Sequence[float], now: float, alpha: float) -> BaselineComparison:
    logs = [math.log(figure) for figure in before]
    sessions = len(logs)
    assumed = sessions < ENOUGH
    spread = ASSUMED if assumed else max(LEAST, statistics.stdev(logs))
    error = spread * math.sqrt(1 + 1 / sessions)
    margin, sure = (
        error * float(ndtri(sureness) if assumed else stdtrit(sessions - 1, sureness))
        for sureness in (CONFIDENCE, 1 - alpha)
    )
    ratio = math.log(now) - statistics.fmean(logs)
    fine, bad = math.log(measure.tolerance.fine), math.log(measure.tolerance.bad)
    slower, good = ratio - sure > fine, ratio + margin < bad and ratio - margin <= fine
    return BaselineComparison(
        measure=measure,
        before=math.exp(statistics.fmean(logs)),
        now=now,
        call=LookOutcome.FAIL if slower else LookOutcome.PASS if good else LookOutcome.INCONCLUSIVE,
        ratio=math.exp(ratio),
        low=math.exp(ratio - sure),
        high=math.exp(ratio + margin),
        spread=spread,
        assumed=assumed,
        least=math.exp(fine + sure),
    )
