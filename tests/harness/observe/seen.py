"""Spans of the recorded run, and what is made of them."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from harness.clock import FakeClock
from harness.errors import AgentrigError
from harness.observe.gathering import MOST_REQUESTS, OBSERVED, Gathering, ObservedHistory
from harness.observe.limits import Limits, read
from harness.observe.look import Look
from harness.observe.look import judged as look
from harness.observe.metrics import Window
from harness.observe.sources.source import Time
from harness.observe.store import Doubt
from harness.observe.together import Part, add
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


def doubts_of(spans: Iterable[Span], limits: Limits) -> tuple[Doubt, ...]:
    gathering = Gathering()
    gathering.take(spans)
    (group,) = gathering.histories(limits.known)
    return gathering.doubts(group, limits.known)


def judged(
    spans: Iterable[Span], limits: Limits, checks: Sequence[str] = (), most_requests: int = MOST_REQUESTS
) -> ExperimentResult:
    judging = Judging(limits=limits, checks=checks_of(limits, checks))
    gathering = Gathering(most_requests=most_requests)
    windows = list(gathering.windows(spans, limits.known))
    (group,) = {group for group, _, _ in windows}
    parts = list[Part]()
    for _, history, of_several in windows:
        add(parts, judging.part(history, of_several=of_several))
    return judging.conclude("agent", parts, gathering.doubts(group, limits.known))[0]


@cache
def as_recorded(experiment: str, arm: str) -> ExperimentResult:
    return judged(spans_of(experiment, arm), limits_of(experiment))


class InMemory:
    """A source that has some spans, or that can't be asked; it may have others the next time."""

    def __init__(self, *looks: Iterable[Span] | AgentrigError, live: bool = False) -> None:
        self.notes: list[str] = []
        self.live = live
        self.listens_since_s: float | None = None
        self.closed = False
        self._looks = list(looks)

    def spans(self, time: Time) -> Iterator[Span]:
        """Yield those of the next look; of the last one again and again."""
        look = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        if isinstance(look, AgentrigError):
            raise look
        yield from look

    def close(self) -> None:
        self.closed = True


def look_at(source: InMemory, limits: Limits, out: Path | None = None, checks: Sequence[str] = ()) -> Look:
    return Look(
        source=source,
        services=(),
        judging=Judging(limits=limits, checks=checks_of(limits, checks)),
        since_s=None,
        out=out,
        again="agentrig observe",
        version="0",
        salt="ab",
    )


def window_of(spans: Iterable[Span], limits: Limits) -> Window:
    seen = look(look_at(InMemory(spans), limits), FakeClock())
    return Window(at_s=1.0, took_s=0.5, verdict=seen.result.verdict, answered=True, seen=seen)


def observed(result: ExperimentResult, *verdicts: Outcome) -> dict[str, CheckResult]:
    return {
        check.id: check
        for check in result.checks
        if check.arm == OBSERVED and (not verdicts or check.verdict in verdicts)
    }
