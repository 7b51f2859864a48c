"""Head against past sessions of the same version."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gate.baseline import (
    ASSUMED,
    ENOUGH,
    Baseline,
    BaselineComparison,
    baseline,
    compare,
    differences,
    fails_more,
    obstacles,
)
from harness.gate.blocks import ERRORS, P50, P99, RSS, Block, Side
from harness.gate.statistics import ALPHA, LookOutcome

HERE = {"machine": "2 cores", "rate": "30/s"}


def session(p99: float, **conditions: str) -> Baseline:
    return Baseline(
        saved_s=0.0,
        label="v1",
        scenario="steady",
        conditions=HERE | conditions,
        blocks=16,
        blurred=0,
        errors=0,
        requests=4800,
        figures={P99.name: p99},
    )


def against(before: Sequence[float], now: float) -> BaselineComparison:
    (found,) = compare([session(each) for each in before], session(now))
    return found


def block(scenario: str, **figures: float) -> Block:
    return Block(
        scenario=scenario,
        pair=1,
        side=Side.HEAD,
        first=True,
        start_s=0.0,
        requests=300,
        errors=2,
        successes=298,
        figures={key.replace("_", " "): value for key, value in figures.items()},
        lateness_p99_ms=1.0,
        cpu_utilisation=0.3,
    )


def test_a_session_is_boiled_down_to_its_median_blocks() -> None:
    blocks = [block("steady", p99=each, p50=1.0) for each in (100.0, 300.0, 120.0)]
    made = baseline(
        [*blocks, block("other", p99=1.0)], saved_s=5.0, label="v1", scenario="steady", conditions=HERE
    )
    assert made.figures == {P99.name: 120.0, P50.name: 1.0}
    assert (made.blocks, made.requests, made.errors) == (3, 900, 6)


def test_a_figure_that_a_block_lacks_is_left_out() -> None:
    made = baseline(
        [block("steady", p99=1.0, rss=2.0), block("steady", rss=3.0)],
        saved_s=5.0,
        label="v1",
        scenario="steady",
        conditions=HERE,
    )
    assert made.figures == {RSS.name: 2.5}


def test_what_the_model_refused_for_good_is_no_error_of_a_session() -> None:
    refused = replace(block("steady", requests_per_success=300 / 250), errors=2, refused=48)
    made = baseline([refused], saved_s=0.0, label="v1", scenario="steady", conditions=HERE)
    assert made.figures == {ERRORS.name: 300 / 298}


def test_no_block_is_no_baseline() -> None:
    with pytest.raises(ValueError, match="steady: there is no block of it"):
        baseline([block("other")], saved_s=0.0, label="v1", scenario="steady", conditions=HERE)


def test_no_history_is_no_comparison() -> None:
    with pytest.raises(ValueError, match="no past session"):
        compare([], session(1.0))


def test_one_past_session_can_never_pass_what_is_the_same() -> None:
    found = against([100.0], 100.0)
    assert found.call is LookOutcome.INCONCLUSIVE
    assert found.assumed
    assert found.spread == ASSUMED


def test_one_past_session_finds_what_is_twice_as_slow() -> None:
    assert against([100.0], 200.0).call is LookOutcome.FAIL


def test_a_long_calm_history_finds_little_and_passes_the_same() -> None:
    calm = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2, 99.8, 100.0]
    assert against(calm, 101.0).call is LookOutcome.PASS
    found = against(calm, 120.0)
    assert found.call is LookOutcome.FAIL
    assert not found.assumed
    assert found.least < 1.10


def test_a_long_wild_history_says_that_it_cannot_tell() -> None:
    found = against([60.0, 160.0, 90.0, 140.0, 70.0, 120.0], 130.0)
    assert found.call is LookOutcome.INCONCLUSIVE
    assert found.least > 2


def test_a_figure_that_never_moved_passes_and_a_hair_more_is_no_regression() -> None:
    assert against([1.0] * 8, 1.0).call is LookOutcome.PASS
    assert against([1.0] * 8, 1.04).call is LookOutcome.PASS
    assert against([1.0] * 8, 1.3).call is LookOutcome.FAIL


def test_the_bound_is_that_of_a_prediction() -> None:
    # It takes a second to load, which everybody would pay who imports from this file.
    from scipy import stats  # noqa: PLC0415 - see above

    logs = [4.0, 4.1, 4.2, 3.9, 4.05, 4.15]
    found = against([math.exp(each) for each in logs], math.exp(4.5))
    error = np.std(logs, ddof=1) * math.sqrt(1 + 1 / len(logs))
    expected = 4.5 - np.mean(logs) - stats.t.ppf(1 - ALPHA, len(logs) - 1) * error
    assert math.log(found.low) == pytest.approx(expected)


@pytest.mark.parametrize("sessions", [1, 3, ENOUGH, 10])
def test_an_unchanged_version_seldom_fails(sessions: int) -> None:
    rng = np.random.default_rng(1)
    drawn = np.exp(rng.normal(0, ASSUMED, (2000, sessions + 1)))
    failed = sum(against(each[:-1], each[-1]).call is LookOutcome.FAIL for each in drawn)
    assert failed / 2000 <= ALPHA


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=9), st.floats(1, 1000), st.floats(0.01, 100))
def test_the_unit_of_a_figure_does_not_matter(before: list[float], now: float, by: float) -> None:
    one, other = against(before, now), against([each * by for each in before], now * by)
    assert one.ratio == pytest.approx(other.ratio)
    assert one.low == pytest.approx(other.low)


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=9), st.floats(1, 1000), st.floats(1, 3))
def test_a_slower_head_never_looks_better(before: list[float], now: float, by: float) -> None:
    order = [LookOutcome.PASS, LookOutcome.INCONCLUSIVE, LookOutcome.FAIL]
    assert order.index(against(before, now * by).call) >= order.index(against(before, now).call)


def test_other_conditions_are_named() -> None:
    (said,) = differences([session(1.0), session(1.0, machine="64 cores")], session(1.0))
    assert said == "machine was 64 cores in v1, and is 2 cores now"
    assert differences([session(1.0)], session(2.0)) == []


def test_what_can_not_be_compared_says_why() -> None:
    one = session(100.0)
    assert obstacles([], one) == ["the history has no session of it under the same conditions"]
    (said,) = obstacles([one], replace(one, blurred=5))
    assert said.startswith("the harness was in the way in 5 of 16 blocks")
    assert obstacles([one], replace(one, figures={})) == ["too few requests succeeded for a p99"]
    assert obstacles([one], one) == []


def test_more_errors_than_before_are_told() -> None:
    one = session(100.0)
    assert fails_more([one], replace(one, errors=47)) is None
    assert fails_more([one], replace(one, errors=49)) == (
        "head failed 49 of 4800 requests, past sessions 0 of 4800"
    )


def test_errors_in_a_few_blocks_are_told_and_are_no_regression() -> None:
    one = session(100.0)
    calm = {P99.name: 100.0, ERRORS.name: 1.0}
    hiccup = replace(one, errors=480, figures=calm)
    assert fails_more([one], hiccup) is None
    (said,) = obstacles([one], hiccup)
    assert said.startswith("head failed 480 of 4800 requests, past sessions 0 of 4800, and all of these in")
    throughout = replace(hiccup, figures=calm | {ERRORS.name: 1.11})
    assert fails_more([one], throughout) is not None
    assert [each.measure for each in compare([throughout], throughout)] == [P99]


def test_what_is_proved_to_be_slower_does_not_pass_however_little_it_is() -> None:
    calm = [100.0, 101.0, 99.0, 100.5, 99.5, 100.2, 99.8, 100.0]
    calls = {now: against(calm, now).call for now in np.arange(100.0, 125.0, 0.5)}
    assert calls[108.0] is LookOutcome.INCONCLUSIVE
    passed = [now for now, call in calls.items() if call is LookOutcome.PASS]
    assert 105.0 <= max(passed) < 108.0
    assert calls[110.0] is LookOutcome.FAIL


def test_a_figure_that_head_alone_lacks_is_not_comparable_and_one_that_some_sessions_lack_is() -> None:
    both = replace(session(100.0), figures={P99.name: 100.0, RSS.name: 50.0})
    (said,) = obstacles([both], session(100.0))
    assert said == "past sessions have rss, and head has not in each of its blocks"
    assert [each.measure for each in compare([session(100.0), both], both)] == [P99, RSS]
