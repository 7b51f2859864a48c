import pytest

from harness.report.charts import levels
from tests.harness.report import sample

DRAWN = sample.series_of(sample.run()[1], "busy-routing")
WORK = ((1.0, 1), (2.0, 0), (4.0, 2), (6.0, 0))


def test_the_level_holds_until_the_next_change() -> None:
    assert [levels.level_at(WORK, t) for t in (0, 1, 1.9, 2, 5, 9)] == [0, 1, 1, 0, 2, 0]
    assert levels.level_at((), 3) == 0


def test_spans_that_touch_are_one_and_slivers_are_dropped() -> None:
    assert levels.merged([(0, 1), (1, 2), (5, 5.1)], 0.5) == [(0, 2)]


def test_the_mean_of_a_bin_is_the_share_of_time_at_each_level() -> None:
    assert levels.mean_levels(WORK, (0, 8), 4) == pytest.approx([0.5, 0, 2, 0])
    assert levels.mean_levels(WORK, (1.5, 2.5), 2) == pytest.approx([1, 0])
    assert levels.mean_levels((), (0, 8), 4) == [0, 0, 0, 0]


def test_no_bin_is_higher_than_the_level_ever_was() -> None:
    changes = DRAWN["blind"].in_flight["agent-1"]
    means = levels.mean_levels(changes, (0.0, 49.7), 418)
    assert 0 <= min(means) <= max(means) <= 1 + 1e-9


def test_a_level_is_held_from_its_change_to_the_next() -> None:
    assert list(levels.at_least(WORK, 1)) == [(1.0, 2.0), (4.0, 6.0)]
    assert list(levels.at_least(WORK, 2)) == [(4.0, 6.0)]
    assert list(levels.at_least((), 1)) == []


def test_what_lies_outside_a_window_is_cut_off() -> None:
    assert list(levels.within([(0, 2), (3, 9), (9, 10)], (1, 5))) == [(1, 2), (3, 5)]
