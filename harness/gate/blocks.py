"""A block: some hundred requests to one side, boiled down to the figures that the gate compares."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

import numpy as np

from harness.gate.statistics import Tolerance
from harness.records.seen import JournalRow
from harness.records.sent import RequestRow

LEAST_SUCCESSES: Final = 299
"""The least sample whose largest value lies above the p99 with 95 % confidence: 0.99^299 < 0.05."""


MOST_STRANGERS: Final = 0.05
"""Above this share of model calls whose trace is of no request, traces don't tell whose a call is."""


class Side(StrEnum):
    """Which version a block went to."""

    BASE = "base"
    HEAD = "head"


def order_of(pair: int, scenario: str, seed: int) -> list[Side]:
    """Return which side of a pair goes first: drawn for every other pair, the one after it is the other way.

    What the second block of a pair pays (a processor that slows down when it is warm) each side then pays as
    often, and never in each of three pairs.
    """
    order = random.Random(f"{seed}/{scenario}/{(pair - 1) // 2}").sample(list(Side), 2)
    return order if pair % 2 else order[::-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A figure of a block.

    Attributes:
        name: in reports; `unit` is its UCUM-like unit.
        tolerance: what the ratio of head to base may be; of each figure, more is worse.
        floor: added to both before they are divided: what is below it is small, and may double.
    """

    name: str
    unit: str
    tolerance: Tolerance
    floor: float = 0.0

    def of(self, block: Block) -> float | None:
        """Return the figure of a block, its floor added; None where it has none that is a number above 0."""
        figure = block.figures.get(self.name)
        return figure + self.floor if figure is not None and 0 < figure + self.floor < math.inf else None


AT_LIMIT: Final = "limit"
"""Phase of the requests at the end of a block that come all at once: more than the fleet works on."""
TURNED_AWAY: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
"""What a container answers that has no room for one of these."""
USUAL: Final = Tolerance(fine=1.05, bad=1.20, gross=1.6)
"""Twice as slow is found by the first look, noise and the part that is not slower allowed for."""
ROUGH: Final = Tolerance(fine=1.10, bad=1.50, gross=3.0)
"""Of figures that rest on few requests a block."""
P99: Final = Measure(name="p99", unit="ms", tolerance=USUAL)
P50: Final = Measure(name="p50", unit="ms", tolerance=USUAL)
CPU: Final = Measure(name="cpu per request", unit="ms", tolerance=USUAL)
RSS: Final = Measure(name="rss", unit="MiB", tolerance=USUAL)
ATTEMPTS: Final = Measure(name="attempts per call", unit="1", tolerance=USUAL)
CALLS: Final = Measure(name="model calls per request", unit="1", tolerance=USUAL)
TOKENS: Final = Measure(name="tokens per request", unit="1", tolerance=USUAL)
"""Of the model, input and output; like the two before them from what the simulator received alone."""
PER_REQUEST_AT_LIMIT: Final = Measure(name="time per request at limit", unit="ms", tolerance=ROUGH)
"""The inverse of the throughput while more is asked than the fleet works on."""
COLD_ANSWER: Final = Measure(name="cold answer", unit="ms", tolerance=ROUGH)
"""The first answer of a new container: what its clients' cold init costs whoever comes first."""
ERRORS: Final = Measure(
    name="requests per success", unit="1", tolerance=Tolerance(fine=1.01, bad=1.05, gross=1.15)
)
"""Errors, as a figure of which a ratio can be taken: one request more in a hundred that fails is fine. More
than one in eight in each pair is beyond doubt; what a hiccup of the machine fails is gone in the next."""
TTFT_P99: Final = Measure(name="ttft p99", unit="ms", tolerance=USUAL)
TTFT_P50: Final = Measure(name="ttft p50", unit="ms", tolerance=USUAL)
"""Of the time to the first token, where a stream is asked for: elsewhere it is the latency again."""
TOOL_CALLS: Final = Measure(name="tool calls per request", unit="1", tolerance=USUAL, floor=0.01)
"""By the agent's spans, where it has some."""
SHORTER: Final = Tolerance(fine=2.0, bad=math.inf, gross=math.inf)
"""Of what is worse when it is less: down to a half nobody minds."""
ANSWER: Final = Measure(name="answer length", unit="characters", tolerance=SHORTER, floor=1.0)
"""The mean of all successes."""
SHORT_ANSWER: Final = Measure(name="short answers", unit="characters", tolerance=SHORTER, floor=1.0)
"""The length that one success in a hundred doesn't have."""
ANSWERS_AT_LIMIT: Final = Measure(name="answers at limit", unit="requests", tolerance=SHORTER, floor=1.0)
"""Of the requests that came all at once, those that were answered. To turn one away takes no time: who does
that to most of them is as fast for each answer as who answers them all."""
MEASURES: Final = (
    P99,
    P50,
    TTFT_P99,
    TTFT_P50,
    PER_REQUEST_AT_LIMIT,
    COLD_ANSWER,
    CPU,
    RSS,
    ATTEMPTS,
    CALLS,
    TOKENS,
    ERRORS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What one block had to show.

    Attributes:
        scenario: what was asked.
        pair: number of the pair, from 1; both blocks of a pair have the same arrivals and faults.
        side: base or head.
        first: whether it ran before the other block of its pair.
        start_s: Unix time of its begin.
        requests, errors: counted; an error that the model's own permanent refusal explains is none, and
            a request that was planned and never ended is one.
        successes: those that the latencies rest on.
        figures: by name of the measure; what the data doesn't give is left out.
        lateness_p99_ms: how late the load itself was.
        cpu_utilisation: of the machine, 0..1: by the processes of this side of what the run may use, or by
            all of all its cores, whichever is more.
        slowest: trace ids of the slowest successes, the slowest first.
        lost: of the requests, those that were planned and never ended: the load gave them up.
        refused: requests that failed beside the errors, since the model refused a call for good. It refuses
            base and head alike: where head fails more of them, it does no longer what base does then.
    """

    scenario: str
    pair: int
    side: Side
    first: bool
    start_s: float
    requests: int
    errors: int
    successes: int
    figures: Mapping[str, float]
    lateness_p99_ms: float
    cpu_utilisation: float
    slowest: tuple[str, ...] = ()
    lost: int = 0
    refused: int = 0

    @property
    def failed(self) -> int:
        """How many requests failed, whyever."""
        return self.errors + self.refused


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceUse:
    """What the processes of a side used during a block.

    Attributes:
        wall_s: how long the block lasted.
        cores: that the run may use.
        all_cpu_s: CPU seconds of all processes of the side, the load included.
        agents_cpu_s: of its agents alone.
        agents_rss_mb: resident memory of its agents at the end, MiB in all.
        others_cores: how many cores those kept busy that are not of this side.
        physical: cores of the machine; those that the run may use when None.
    """

    wall_s: float
    cores: float
    all_cpu_s: float
    agents_cpu_s: float
    agents_rss_mb: float
    others_cores: float = 0.0
    physical: float | None = None

    @property
    def utilisation(self) -> float:
        """How full the machine was, see `Block`."""
        if not self.wall_s:
            return 0.0
        own = self.all_cpu_s / self.wall_s
        return max(own / self.cores, (own + self.others_cores) / (self.physical or self.cores))


def summarise_block(
    rows: Sequence[RequestRow],
    journal: Sequence[JournalRow],
    spent: ResourceUse,
    *,
    scenario: str,
    pair: int,
    side: Side,
    first: bool,
    start_s: float,
    called_by: int | None = None,
    warm_up: Sequence[RequestRow] = (),
    refusals: Sequence[JournalRow] | None = None,
    planned: int | None = None,
    cold_answer_s: float | None = None,
    streams: bool = False,
    slowest: int = 5,
) -> Block:
    """Make a block of what was measured.

    Latencies count from the intended start. Successes alone have one: what fails at once would make
    head look fast, and is counted as an error.

    Args:
        rows: of the block, its warm-up left out.
        journal: the model calls of `called_by` requests.
        spent: what it cost.
        scenario: as in `Block`, like the next four.
        pair: its number.
        side: base or head.
        first: whether it ran before its other half.
        start_s: Unix time of its begin.
        called_by: how many requests made these model calls; as many as rows when None.
        warm_up: the requests before these: of them it counts whether they failed, and nothing else. The first
            answers of a new container are as good as any other to who asked.
        refusals: the model calls of all requests, for what was refused; `journal` when None.
        planned: how many requests were to be sent; as many as rows when None.
        cold_answer_s: how long a new container took for its first answer, where one was asked.
        streams: whether a stream is asked for.
        slowest: how many trace ids to keep.
    """
    refused = {
        row.trace_id
        for row in (journal if refusals is None else refusals)
        if row.fault_class == "permanent" and row.served_a_fault
    }
    at_limit = [row for row in rows if row.phase == AT_LIMIT]
    steady = [row for row in rows if row.phase != AT_LIMIT]
    good = sorted((row for row in steady if row.ok), key=lambda row: row.latency_s, reverse=True)
    every = [*warm_up, *rows]
    lost = 0 if planned is None else max(0, planned - len(every))
    requests = len(every) + lost
    failed = [row for row in every if not row.ok and not _turned_away(row)]
    explained = sum(row.trace_id in refused for row in failed)
    errors = len(failed) - explained + lost
    turned_away = sum(map(_turned_away, rows))
    worked_on = len(rows) - turned_away
    figures: dict[str, float] = {}
    if good:
        latencies_ms = np.array([row.latency_s * 1e3 for row in good])
        figures[P50.name] = float(np.quantile(latencies_ms, 0.5, method="inverted_cdf"))
        figures[CPU.name] = spent.agents_cpu_s * 1e3 / worked_on
        if len(good) >= LEAST_SUCCESSES:
            figures[P99.name] = float(np.quantile(latencies_ms, 0.99, method="inverted_cdf"))
        figures |= _lengths([row.answer_chars for row in good if row.answer_chars is not None])
    if streams:
        figures |= _first_tokens([row.ttft_s * 1e3 for row in good if row.ttft_s is not None])
    answered = sum(row.ok for row in at_limit)
    if at_limit:
        figures[ANSWERS_AT_LIMIT.name] = float(answered)
    if answered:
        took_s = max(row.end_s for row in at_limit) - min(row.due_s for row in at_limit)
        figures[PER_REQUEST_AT_LIMIT.name] = took_s * 1e3 / answered
    if cold_answer_s is not None:
        figures[COLD_ANSWER.name] = cold_answer_s * 1e3
    if spent.agents_rss_mb:
        figures[RSS.name] = spent.agents_rss_mb
    asked = len(rows) if called_by is None else called_by
    figures |= _calls(journal, asked - turned_away)
    if requests:
        figures[ERRORS.name] = requests / max(requests - errors - explained, 1)
    late_ms = [row.lateness_s * 1e3 for row in steady]
    return Block(
        scenario=scenario,
        pair=pair,
        side=side,
        first=first,
        start_s=start_s,
        requests=requests,
        errors=errors,
        successes=len(good),
        figures=figures,
        lateness_p99_ms=float(np.quantile(late_ms, 0.99)) if late_ms else 0.0,
        cpu_utilisation=spent.utilisation,
        slowest=tuple(row.trace_id for row in good[:slowest]),
        lost=lost,
        refused=explained,
    )


def calls_of_block(
    journal: Sequence[JournalRow], rows: Sequence[RequestRow], sent: Sequence[RequestRow]
) -> tuple[list[JournalRow], int]:
    """Return the model calls that a block rests on, and how many requests made them.

    Where the agent hands on the trace of its request, they are those of the requests that count. Where it
    doesn't, nobody can tell whose they are, and need not: they are all of the block's, its warm-up included.

    Args:
        journal: what the simulator received during the block.
        rows: of the block, its warm-up left out.
        sent: all of the block.
    """
    counted, known = ({row.trace_id for row in each} for each in (rows, sent))
    strangers = sum(row.trace_id not in known for row in journal)
    if strangers > MOST_STRANGERS * len(journal):
        return list(journal), len(sent)
    return [row for row in journal if row.trace_id in counted], len(rows)


def _turned_away(row: RequestRow) -> bool:
    """Return whether a container said that it was full: of all at once, one may get more than its share.

    Who works more slowly answers fewer in the same time, which the throughput at the limit tells; who answers
    only a part of what it answered before, and that as fast, `ANSWERS_AT_LIMIT` does.
    """
    return row.phase == AT_LIMIT and row.status in TURNED_AWAY


def _calls(journal: Sequence[JournalRow], requests: int) -> dict[str, float]:
    """Return the figures of model calls; none where there is no call."""
    if not journal or not requests:
        return {}
    # What comes without a trace is of one that the simulator made up, for each attempt another.
    calls = {(row.trace_id if row.parent_span_id else None, row.call_id) for row in journal}
    tokens = sum(row.input_tokens + row.output_tokens for row in journal)
    figures = {ATTEMPTS.name: len(journal) / len(calls), CALLS.name: len(calls) / requests}
    return figures | ({TOKENS.name: tokens / requests} if tokens else {})


def _lengths(characters: Sequence[int]) -> dict[str, float]:
    """Return the figures of how long answers are."""
    if not characters:
        return {}
    short = float(np.quantile(characters, 0.01, method="inverted_cdf"))
    return {ANSWER.name: float(np.mean(characters)), SHORT_ANSWER.name: short}


def _first_tokens(ttft_ms: Sequence[float]) -> dict[str, float]:
    """Return the figures of the times to the first token that there are."""
    figures = {}
    if ttft_ms:
        figures[TTFT_P50.name] = float(np.quantile(ttft_ms, 0.5, method="inverted_cdf"))
    if len(ttft_ms) >= LEAST_SUCCESSES:
        figures[TTFT_P99.name] = float(np.quantile(ttft_ms, 0.99, method="inverted_cdf"))
    return figures
