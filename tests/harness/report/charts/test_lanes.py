import re
from dataclasses import replace

from harness.records.outcome import ArmSeries
from harness.records.setup import FleetEvent, Window
from harness.report.charts import frame, lanes
from tests.harness.report import sample

RESULT, SERIES = sample.run()
DRAWN = sample.series_of(SERIES, "busy-routing")
STYLES = frame.arm_styles(RESULT.experiments[1].arms)


def test_the_close_up_is_where_containers_idle_most_while_requests_wait() -> None:
    work = {"a": ((0.0, 1), (20.0, 0))}
    idle = ArmSeries(in_flight=work, waiting=((21.0, 3), (23.0, 0), (30.0, 9)), idle={"a": ((21.0, 23.0),)})
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


def marked(picture: str, kind: str = "idle") -> int:
    return sum(boxes.count("Z") for boxes in re.findall(rf'd="([^"]*)" class="{kind}"', picture))


def test_each_container_has_a_lane_and_idling_is_marked_in_the_blind_arm() -> None:
    window, tops = lanes.whole(DRAWN.values()), lanes.tallest(DRAWN.values())
    blind = lanes.lanes(DRAWN["blind"], STYLES["blind"], window, tops)
    aware = lanes.lanes(DRAWN["busy-aware"], STYLES["busy-aware"], window, tops)
    assert blind is not None
    assert aware is not None
    for name in ("waiting", "agent-1", "agent-2", "agent-3", "agent-4"):
        assert f">{name}<" in blind
    assert marked(blind) > 50
    assert marked(aware) < 5


def test_an_arm_of_which_nothing_is_known_has_no_lanes() -> None:
    assert lanes.lanes(ArmSeries(), STYLES["blind"], (0, 1), (1, 1)) is None
    assert lanes.whole([]) == (0, 1)
    assert lanes.tallest([]) == (1, 1)


REPLACED = ArmSeries(
    limit=2,
    in_flight={
        "agent-1": ((0.0, 1), (3.0, 0)),
        "agent-2": ((0.0, 2), (4.0, 1), (9.0, 0)),
        "agent-3": ((5.0, 1), (9.0, 0)),
    },
    present={"agent-1": (0.0, 3.5), "agent-2": (0.0, 9.0), "agent-3": (4.5, 9.0)},
    idle={"agent-1": ((1.0, 2.0),)},
    events=(FleetEvent(time_s=3.5, action="kill", container="agent-1"),),
)


def test_a_replacement_goes_on_in_the_lane_of_the_one_that_was_killed() -> None:
    assert lanes.packed(REPLACED) == [["agent-1", "agent-3"], ["agent-2"]]
    picture = lanes.lanes(REPLACED, STYLES["blind"], (0.0, 9.0), (2, 1))
    assert picture is not None
    assert ">slot 1<" in picture
    assert ">agent-2<" in picture
    assert picture.count("agent-1 was killed at 3.5 s") == 1


def test_containers_of_which_nobody_knows_when_they_were_there_have_lanes_of_their_own() -> None:
    assert lanes.packed(replace(REPLACED, present={})) == [["agent-1"], ["agent-2"], ["agent-3"]]


def test_a_kill_outside_the_window_is_not_drawn_in_it() -> None:
    assert "killed" not in (lanes.lanes(REPLACED, STYLES["blind"], (5.0, 9.0), (2, 1)) or "killed")


def test_a_container_is_busy_where_it_is_at_its_limit() -> None:
    picture = lanes.lanes(REPLACED, STYLES["blind"], (0.0, 9.0), (2, 1)) or ""
    assert marked(picture, "busy") == 1
    assert 'd="M52 ' in re.findall(r'<path [^>]*class="busy"', picture)[0]
    unknown = lanes.lanes(replace(REPLACED, limit=0), STYLES["blind"], (0.0, 9.0), (2, 1)) or "busy"
    assert "busy" not in unknown


def test_the_close_up_is_of_the_time_in_which_requests_arrive() -> None:
    phase = Window(kind="phase", name="steady", from_s=0.0, to_s=20.0)
    assert lanes.arriving([ArmSeries(windows=(phase,))], (0.0, 30.0)) == (0.0, 20.0)
    assert lanes.arriving([ArmSeries()], (0.0, 30.0)) == (0.0, 30.0)
