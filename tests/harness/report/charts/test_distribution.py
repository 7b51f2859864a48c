import re

import pytest

from harness.records.outcome import ArmSeries
from harness.report.charts import frame
from harness.report.charts.distribution import distribution, estimate, first_tokens
from tests.harness.report import sample

RESULT, SERIES = sample.run()
ARMS = RESULT.experiments[1].arms
DRAWN = sample.series_of(SERIES, "busy-routing")


def test_a_quantile_is_the_nearest_rank_with_ranks_around_it_as_its_interval() -> None:
    found = estimate([float(n) for n in range(1, 10_001)], 0.99)
    assert found is not None
    assert found.value == 9900
    assert found.low == pytest.approx(9880, abs=2)
    assert found.high == pytest.approx(9921, abs=2)


def test_a_small_sample_does_not_bound_its_tail() -> None:
    found = estimate([float(n) for n in range(1, 101)], 0.99)
    assert found is not None
    assert (found.value, found.high) == (99, None)
    assert found.low is not None


def test_two_values_bound_nothing_and_one_is_no_estimate() -> None:
    pair = estimate([5.0, 6.0], 0.5)
    assert pair is not None
    assert (pair.value, pair.low, pair.high) == (5, None, None)
    assert estimate([5.0], 0.5) is None
    assert estimate([], 0.5) is None


def test_both_arms_and_the_optimum_are_drawn_over_one_another_with_their_n() -> None:
    drawn = distribution(DRAWN, frame.arm_styles(ARMS))
    assert drawn is not None
    assert drawn.count('class="line hue-a"') == 1
    assert drawn.count('class="line hue-b dashed"') == 1
    assert drawn.count('class="line optimum"') == 1
    assert drawn.count("<circle") == 6
    assert "busy-aware n = 800, blind n = 800" in drawn


def test_a_curve_never_rises_and_ends_at_the_slowest() -> None:
    drawn = distribution({"a": DRAWN["blind"]}, frame.arm_styles({"a": ARMS["blind"]}))
    assert drawn is not None
    path = re.search(r'<path d="M([^"]+)" class="line hue-b', drawn)
    assert path is not None
    points = [tuple(map(float, point.split())) for point in path[1].split("L")]
    assert points == sorted(points)
    assert max(x for x, _ in points) <= frame.PLOT_RIGHT


def test_without_successes_there_is_no_picture() -> None:
    assert distribution({"a": ArmSeries()}, frame.arm_styles({"a": ARMS["blind"]})) is None


def test_latencies_that_are_all_the_same_can_be_drawn() -> None:
    drawn = distribution({"a": ArmSeries(latencies_s=(0.1,))}, frame.arm_styles({"a": ARMS["blind"]}))
    assert drawn is not None
    assert "nan" not in drawn


def test_powers_of_ten_keep_their_labels_when_not_all_have_room() -> None:
    wide = {"blind": ArmSeries(latencies_s=(0.001, 0.4, 9.0))}
    drawn = distribution(wide, frame.arm_styles(ARMS))
    assert drawn is not None
    for label in ("1 ms", "10 ms", "100 ms", "1 s", "10 s"):
        assert f">{label}<" in drawn
    assert ">200 ms<" not in drawn


def test_first_tokens_have_a_picture_of_their_own_where_answers_come_in_pieces() -> None:
    arms = {"a": ARMS["blind"]}
    drawn = first_tokens({"a": ArmSeries(first_tokens_s=(0.1, 0.2))}, frame.arm_styles(arms))
    assert drawn is not None
    assert "time to first token" in drawn
    assert first_tokens({"a": ArmSeries(latencies_s=(0.1,))}, frame.arm_styles(arms)) is None
