import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.simulator.draws import call_id, duration_s, uniform
from harness.simulator_config import Distribution

names = st.lists(st.text(max_size=20) | st.integers(0, 9), min_size=1, max_size=3)


@given(st.integers(0, 2**32), names)
def test_a_draw_is_in_range_and_always_the_same(seed: int, of: list[str | int]) -> None:
    assert 0 <= uniform(seed, *of) < 1
    assert uniform(seed, *of) == uniform(seed, *of)


def test_draws_spread_evenly_over_what_they_are_drawn_for() -> None:
    drawn = sorted(uniform(7, n, "kind") for n in range(2000))
    assert statistics.fmean(drawn) == pytest.approx(0.5, abs=0.02)
    assert max(abs(u - n / 2000) for n, u in enumerate(drawn)) < 0.04


def test_another_seed_draws_otherwise() -> None:
    assert uniform(1, "call") != uniform(2, "call")


def test_a_constant_is_the_same_for_all() -> None:
    assert {duration_s(Distribution(median_s=0.2), 1, n) for n in range(9)} == {0.2}


def test_a_lognormal_has_the_median_and_the_tail_that_were_asked_for() -> None:
    told = Distribution(median_s=0.1, p99_s=1.0)
    drawn = sorted(duration_s(told, 3, n) for n in range(10_000))
    assert drawn[5000] == pytest.approx(0.1, rel=0.05)
    assert drawn[9900] == pytest.approx(1.0, rel=0.15)


def test_a_call_is_named_by_what_is_asked_whatever_the_order_of_its_keys() -> None:
    one = call_id("m", [{"role": "user", "content": "x"}])
    assert one == call_id("m", [{"content": "x", "role": "user"}])
    assert one != call_id("m2", [{"content": "x", "role": "user"}])
    assert one != call_id("m", [{"content": "y", "role": "user"}])
    assert len(one) == 16
    assert int(one, 16) >= 0
