"""Spans of the recorded run, and what is made of them."""

from collections.abc import Iterable, Sequence
from functools import cache

from harness.observe.gathering import OBSERVED, Gathering, ObservedHistory
from harness.observe.limits import Limits, read
from harness.observe.verdict import Judging, checks_of
from harness.records.outcome import CheckResult, ExperimentResult, Outcome
from harness.records.seen import Span
from harness.records.sent import RequestRow
from tests.mutations.saved import recorded

SAID: dict[str, tuple[str, ...]] = {
    "limit": ("concurrency-limit=4",),
    "routing": ("concurrency-limit=1",),
    "retry": ("no-errors=0.15", "transient-survived=0.8", "herd-share=0.25", "amplification=2.3"),
}
"""What the experiments say themselves; an outage that all retries fail in is no promise that is broken."""


def spans_of(experiment: str, arm: str) -> tuple[Span, ...]:
    return recorded()[experiment][1][arm].spans


def rows_of(experiment: str, arm: str) -> tuple[RequestRow, ...]:
    return recorded()[experiment][1][arm].requests


def limits_of(experiment: str, *more: str) -> Limits:
    return read((*SAID.get(experiment, ()), "min-requests=20", *more))


def history(spans: Iterable[Span], limits: Limits) -> ObservedHistory:
    gathering = Gathering()
    gathering.take(spans)
    (found,) = gathering.histories(limits.known).values()
    return found


def judged(spans: Iterable[Span], limits: Limits, checks: Sequence[str] = ()) -> ExperimentResult:
    judging = Judging(limits=limits, checks=checks_of(limits, checks))
    return judging.conclude("agent", history(spans, limits))[0]


@cache
def as_recorded(experiment: str, arm: str) -> ExperimentResult:
    return judged(spans_of(experiment, arm), limits_of(experiment))


def observed(result: ExperimentResult, *verdicts: Outcome) -> dict[str, CheckResult]:
    return {
        check.id: check
        for check in result.checks
        if check.arm == OBSERVED and (not verdicts or check.verdict in verdicts)
    }
