import pytest

from harness.records import ArmSeries
from harness.report.charts import frame, lanes
from tests.harness.report import sample

RESULT, SERIES = sample.run()
DRAWN = sample.series_of(SERIES, "busy-routing")
LOOKS = frame.looks(RESULT.experiments[1].arms)
WORK = ((1.0, 1), (2.0, 0), (4.0, 2), (6.0, 0))
WAITING = ((1.5, 1), (3.0, 0), (5.0, 1), (7.0, 0))


def test_the_level_holds_until_the_next_change() -> None:
    assert [lanes.level_at(WORK, t) for t in (0, 1, 1.9, 2, 5, 9)] == [0, 1, 1, 0, 2, 0]
    assert lanes.level_at((), 3) == 0


def test_idle_while_waiting_is_neither_before_the_work_ends_nor_after_the_wait() -> None:
    spans = lanes.idle_while_waiting(WORK, WAITING, (0, 10))
    assert lanes.merged(spans, 0) == [(2, 3), (6, 7)]
    assert lanes.merged(lanes.idle_while_waiting(WORK, WAITING, (2.5, 6.5)), 0) == [(2.5, 3), (6, 6.5)]
    assert lanes.idle_while_waiting(WORK, (), (0, 10)) == []


def test_spans_that_touch_are_one_and_slivers_are_dropped() -> None:
    assert lanes.merged([(0, 1), (1, 2), (5, 5.1)], 0.5) == [(0, 2)]


def test_the_mean_of_a_bin_is_the_share_of_time_at_each_level() -> None:
    assert lanes.mean_levels(WORK, (0, 8), 4) == pytest.approx([0.5, 0, 2, 0])
    assert lanes.mean_levels(WORK, (1.5, 2.5), 2) == pytest.approx([1, 0])
    assert lanes.mean_levels((), (0, 8), 4) == [0, 0, 0, 0]


def test_no_bin_is_higher_than_the_level_ever_was() -> None:
    changes = DRAWN["blind"].in_flight["agent-1"]
    levels = lanes.mean_levels(changes, (0.0, 49.7), 418)
    assert 0 <= min(levels) <= max(levels) <= 1 + 1e-9


def test_the_close_up_is_where_containers_idle_most_while_requests_wait() -> None:
    idle = ArmSeries(in_flight={"a": ((0.0, 1), (20.0, 0))}, waiting=((21.0, 3), (23.0, 0), (30.0, 9)))
    begin, end = lanes.worst([idle], 3, (0.0, 30.0))
    assert end - begin == 3
    assert begin <= 21
    assert end >= 23


def test_where_hardly_any_container_idles_the_close_up_is_around_the_longest_queue() -> None:
    full = ArmSeries(in_flight={"a": ((0.0, 1), (30.0, 0))}, waiting=((12.0, 2), (12.5, 7), (13.0, 0)))
    begin, end = lanes.worst([full], 3, (0.0, 30.0))
    assert (begin, end) == (11.75, 14.75)


def test_the_close_up_stays_within_the_run() -> None:
    late = ArmSeries(in_flight={"a": ((0.0, 1), (30.0, 0))}, waiting=((29.9, 2), (30.0, 0)))
    assert lanes.worst([late], 3, (0.0, 30.0)) == (27, 30)


def test_without_any_idling_the_close_up_is_the_beginning() -> None:
    assert lanes.worst([ArmSeries()], 3, (0.0, 30.0)) == (0, 3)


def test_a_hand_over_that_overlaps_for_a_moment_does_not_halve_the_lanes() -> None:
    overlaps = [(t + dt, n) for t in range(1, 9) for dt, n in ((0.0, 2), (0.0005, 1))]
    handed_over = ArmSeries(in_flight={"a": ((0.0, 1), *overlaps, (9.0, 0))})
    assert lanes.tallest([handed_over]) == (1, 1)


def test_a_second_request_that_lasts_is_as_high_as_it_was() -> None:
    twice = ArmSeries(
        in_flight={"a": ((0.0, 1), (1.0, 2), (1.05, 1), (9.0, 0))}, waiting=((1.0, 3), (2.0, 0))
    )
    assert lanes.tallest([twice]) == (2, 3)
    assert lanes.tallest([]) == (1, 1)


def test_each_container_has_a_lane_and_idling_is_marked_in_the_blind_arm() -> None:
    window, tops = lanes.whole(DRAWN.values()), lanes.tallest(DRAWN.values())
    blind = lanes.lanes(DRAWN["blind"], LOOKS["blind"], window, tops)
    aware = lanes.lanes(DRAWN["busy-aware"], LOOKS["busy-aware"], window, tops)
    assert blind is not None
    assert aware is not None
    for name in ("waiting", "agent-1", "agent-2", "agent-3", "agent-4"):
        assert f">{name}<" in blind
    assert blind.count('class="idle"') > 50
    assert aware.count('class="idle"') < 5


def test_an_arm_of_which_nothing_is_known_has_no_lanes() -> None:
    assert lanes.lanes(ArmSeries(), LOOKS["blind"], (0, 1), (1, 1)) is None
    assert lanes.whole([]) == (0, 1)
    assert lanes.tallest([]) == (1, 1)
