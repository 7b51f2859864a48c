"""What a store may do to a history, drawn: lose, double, shuffle and sample, and set clocks off.

A sound history never turns red by it; a bad one's fault is found, or not known, and never green.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.records.outcome import ExperimentResult, Outcome
from harness.records.seen import Span
from tests.harness.observe.seen import as_recorded, judged, limits_of, observed, spans_of
from tests.harness.observe.test_recorded_run import FAULTS, SOUND
from tests.harness.observe.test_store import renamed
from tests.mutations.hand import shifted

DRAWN = settings(
    max_examples=3, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
"""Each takes a second of CPU; `tests/proof/test_losses_widely.py` draws hundreds."""
TELLS_OF_LOSS = {"traces-whole"}
"""It may turn red: that is what it is for."""
Spans = tuple[Span, ...]
Loss = Callable[[Spans, float, random.Random], list[Span]]


@cache
def drawn_ids(place: tuple[str, str]) -> Spans:
    return tuple(renamed(spans_of(*place), 7))


def lost_at_random(spans: Spans, share: float, draw: random.Random) -> list[Span]:
    return [span for span in spans if draw.random() >= share]


def lost_in_batches(spans: Spans, share: float, draw: random.Random) -> list[Span]:
    """Return what is left where an exporter gave up a batch: spans of one process that ended together."""
    ranked = sorted(spans, key=lambda span: (str(span.instance), span.end_ns))
    gone = {number for number in range(0, len(ranked), 20) if draw.random() < share}
    return [span for number, span in enumerate(ranked) if number - number % 20 not in gone]


def lost_of_a_container(spans: Spans, share: float, draw: random.Random) -> list[Span]:
    """Return what is left where one container can't reach the store for some of the time."""
    names = sorted({span.instance for span in spans if span.service == "agent" and span.instance})
    mine = draw.choice(names)
    begins = sorted(span.start_ns for span in spans)
    from_ns = draw.choice(begins)
    until_ns = from_ns + int(share * 10 * (begins[-1] - begins[0]))
    return [span for span in spans if span.instance != mine or not from_ns <= span.end_ns <= until_ns]


def sampled(spans: Spans, share: float, draw: random.Random) -> list[Span]:
    """Return what a sampler at the head keeps, which tells its ratio."""
    keep = max(0.1, 1 - 5 * share)
    state = f"ot=th:{round((1 - keep) * 16**14):014x}"
    return [
        replace(span, trace_state=state)
        for span in spans
        if int(span.trace_id[16:], 16) >= (1 - keep) * 2**64
    ]


def sampled_and_untold(spans: Spans, share: float, draw: random.Random) -> list[Span]:
    """Return what a sampler at the head keeps, which tells nothing."""
    keep = max(0.1, 1 - 5 * share)
    return [span for span in spans if int(span.trace_id[16:], 16) < keep * 2**64]


LOSSES = (lost_at_random, lost_in_batches, lost_of_a_container, sampled, sampled_and_untold)


def doubled_and_shuffled(spans: list[Span], draw: random.Random) -> list[Span]:
    again = [*spans, *(span for span in spans if draw.random() < 0.1)]
    draw.shuffle(again)
    return again


@pytest.mark.parametrize("place", [*SOUND, *FAULTS], ids="-".join)
def test_what_comes_twice_and_in_another_order_changes_no_verdict(place: tuple[str, str]) -> None:
    spans = doubled_and_shuffled(list(spans_of(*place)), random.Random(3))
    before, after = observed(as_recorded(*place)), observed(judged(spans, limits_of(place[0])))
    assert {name: check.verdict for name, check in after.items()} == {
        name: check.verdict for name, check in before.items()
    }


def wrongly_red(lose: Loss, place: tuple[str, str], share: float, seed: int, most: int) -> set[str]:
    """Return what fell short of a sound history that a store has not all of."""
    return set(observed(_stored(lose, place, share, seed, most), Outcome.FAIL)) - TELLS_OF_LOSS


def wrongly_green(lose: Loss, place: tuple[str, str], share: float, seed: int, most: int) -> set[str]:
    """Return what held of a history in which it does not."""
    result = _stored(lose, place, share, seed, most)
    green = set(observed(as_recorded(*place), Outcome.FAIL)) & set(observed(result, Outcome.PASS))
    return green | ({"the verdict"} if result.verdict is Outcome.PASS else set())


def _stored(lose: Loss, place: tuple[str, str], share: float, seed: int, most: int) -> ExperimentResult:
    draw = random.Random(seed)
    spans = doubled_and_shuffled(lose(drawn_ids(place), share, draw), draw)
    return judged(spans, limits_of(place[0]), most_requests=most)


STORED: dict[str, st.SearchStrategy[Any]] = {
    "share": st.floats(0.002, 0.15),
    "seed": st.integers(0, 2**32),
    "most": st.sampled_from((40, 10_000, 10_000)),
}


@pytest.mark.parametrize("lose", LOSSES)
@given(place=st.sampled_from(SOUND), **STORED)
@DRAWN
def test_a_sound_history_never_turns_red(
    lose: Loss, place: tuple[str, str], share: float, seed: int, most: int
) -> None:
    assert not wrongly_red(lose, place, share, seed, most)


@pytest.mark.parametrize(
    ("lose", "share", "seed"),
    [(lost_at_random, 0.03125, 31), (lost_in_batches, 0.1933797338388047, 1283288560)],
    ids=["a try", "the whole"],
)
def test_a_refusal_is_no_error_where_the_span_of_its_balancer_is_lost(
    lose: Loss, share: float, seed: int
) -> None:
    """Another container was asked, as the balancer would tell."""
    assert not wrongly_red(lose, ("limit", "sound"), share, seed, 40)


@pytest.mark.parametrize("lose", LOSSES)
@given(place=st.sampled_from(sorted(FAULTS)), **STORED)
@DRAWN
def test_a_fault_never_turns_green(
    lose: Loss, place: tuple[str, str], share: float, seed: int, most: int
) -> None:
    assert not wrongly_green(lose, place, share, seed, most)


def wrong_by_a_clock(place: tuple[str, str], offset_ms: int, seed: int) -> set[str]:
    """Return the checks whose verdict is turned round where the clock of one container is off."""
    spans = spans_of(*place)
    names = sorted({span.instance for span in spans if span.service == "agent" and span.instance})
    mine, by_ns = random.Random(seed).choice(names), offset_ms * 1_000_000
    moved = [shifted(span, by_ns) if span.instance == mine else span for span in spans]
    before = observed(as_recorded(*place))
    decided = observed(judged(moved, limits_of(place[0])), Outcome.PASS, Outcome.FAIL)
    kept = {Outcome.UNKNOWN, Outcome.NOT_MADE}
    return {name for name, check in decided.items() if before[name].verdict not in {check.verdict, *kept}}


@given(
    place=st.sampled_from([*SOUND, *sorted(FAULTS)]),
    offset_ms=st.sampled_from((-5_000, -300, -30, 30, 300, 5_000)),
    seed=st.integers(0, 2**32),
)
@DRAWN
def test_a_clock_that_is_off_makes_no_wrong_verdict(
    place: tuple[str, str], offset_ms: int, seed: int
) -> None:
    assert not wrong_by_a_clock(place, offset_ms, seed)
