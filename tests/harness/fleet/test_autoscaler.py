"""How many containers are wanted, on a clock that is told."""

from collections.abc import Mapping, Sequence

import pytest

from harness.fleet.autoscaler import Autoscaler
from harness.records.spec import AutoscaleSpec

NOBODY: tuple[str, ...] = ()


class FakeGauges:
    def __init__(self) -> None:
        self.in_flight = 0
        self.came = 0
        self.cpu: dict[str, float] = {}

    def requests(self) -> tuple[int, int]:
        return self.in_flight, self.came

    def cpu_s(self) -> Mapping[str, float]:
        return dict(self.cpu)


class Rig:
    """Looks each tenth of a second, at containers that are ready as soon as they are wanted."""

    def __init__(self, there: int = 2, **spec: object) -> None:
        asked = {"target": 4.0, "least": 1, "most": 8, "sync_s": 2.0, "down_s": 6.0} | spec
        self.gauges = FakeGauges()
        self.autoscaler = Autoscaler(AutoscaleSpec.model_validate(asked), self.gauges)
        self.there = there
        self.now_s = 100.0
        self.autoscaler.begin(self.now_s, there)

    def until(self, elapsed_s: float, in_flight: int) -> int:
        self.gauges.in_flight = in_flight
        while self.now_s < 100.0 + elapsed_s - 1e-6:
            self.now_s += 0.1
            self.there = self.autoscaler.wanted(self.now_s, names(self.there))
        return self.there


def names(count: int) -> Sequence[str]:
    return [f"agent-{number}" for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("there", "in_flight", "wanted"),
    [
        (2, 16, 4),  # twice the target for each: twice as many
        (2, 9, 3),  # what is over is rounded up
        (5, 21, 5),  # within a tenth of its target nothing changes
        (5, 22, 5),  # a tenth more is still within it
        (5, 23, 6),
        (5, 19, 5),
        (2, 100, 8),  # no more than there may be
    ],
)
def test_as_many_are_wanted_as_bring_each_to_its_target(there: int, in_flight: int, wanted: int) -> None:
    assert Rig(there).until(2.1, in_flight) == wanted


def test_between_two_looks_nothing_changes_and_what_counts_is_the_mean_since_the_last() -> None:
    rig = Rig(2)
    assert rig.until(1.0, 4) == 2
    assert rig.until(1.9, 20) == 2
    assert rig.until(2.1, 20) == 4, "about half of the time 4, half of it 20"


def test_fewer_are_left_only_once_nothing_within_the_window_wanted_more() -> None:
    rig = Rig(2)
    assert rig.until(2.1, 20) == 5
    assert rig.until(4.1, 12) == 5, "two seconds ago five were wanted"
    assert rig.until(7.9, 4) == 5
    assert rig.until(8.9, 4) == 3, "five are forgotten; the three wanted after them are not"
    assert rig.until(12.9, 4) == 1


def test_of_those_that_there_are_at_the_beginning_none_is_taken_away_before_the_window_is_over() -> None:
    rig = Rig(4)
    assert rig.until(5.9, 4) == 4
    assert rig.until(6.3, 4) == 1


def test_so_few_are_always_left() -> None:
    assert Rig(4, least=3).until(20.0, 0) == 3


def test_a_load_that_comes_back_is_followed_at_the_next_look() -> None:
    rig = Rig(2)
    rig.until(20.0, 4)
    assert rig.there == 1
    assert rig.until(24.5, 20) == 5


def test_by_the_cores_that_each_keeps_busy_those_who_wait_for_a_model_are_never_more() -> None:
    rig = Rig(2, metric="cpu", target=0.8)
    for second in range(1, 20):
        rig.gauges.cpu = dict.fromkeys(names(2), 0.1 * second)
        rig.until(float(second), 40)
    assert rig.there == 1, "a tenth of a core each"


def test_by_the_cores_that_each_keeps_busy_those_who_calculate_are() -> None:
    rig = Rig(2, metric="cpu", target=0.5, sync_s=1.0)
    rig.gauges.cpu = {"agent-1": 0.0, "agent-2": 0.0}
    rig.until(1.1, 1)
    rig.gauges.cpu = {"agent-1": 1.0, "agent-2": 0.8}
    assert rig.until(2.3, 1) == 4


def test_where_no_cpu_time_is_known_nothing_changes() -> None:
    assert Rig(3, metric="cpu", target=0.8, least=1).until(20.0, 40) == 3


def test_of_whom_nothing_is_known_yet_nothing_is_taken_away() -> None:
    rig = Rig(2, metric="cpu", target=0.8, down_s=0.0)
    rig.gauges.cpu = {"agent-1": 0.0}
    rig.until(2.1, 1)
    rig.gauges.cpu = {"agent-1": 0.0, "agent-2": 5.0}
    assert rig.until(4.2, 1) == 1, "one of nothing, and one that counts as on its target"
    alone = Rig(2, metric="cpu", target=0.8, down_s=0.0)
    alone.gauges.cpu = {"agent-1": 0.0}
    alone.until(2.1, 1)
    alone.gauges.cpu = {"agent-1": 1.3, "agent-2": 5.0}
    assert alone.until(4.2, 1) == 2, "0.65 of 0.8 of a core, and one on its target: nine tenths of it"


def test_who_is_not_known_yet_turns_no_growth_into_its_contrary() -> None:
    rig = Rig(4, metric="cpu", target=0.5, down_s=0.0)
    rig.gauges.cpu = {"agent-1": 0.0, "agent-2": 0.0}
    rig.until(2.1, 1)
    rig.gauges.cpu = {"agent-1": 1.5, "agent-2": 1.5, "agent-3": 0.1, "agent-4": 0.1}
    assert rig.until(4.2, 1) == 4, "two use more than their target, and two have only begun"


def test_more_than_there_may_be_are_taken_away_at_the_next_look() -> None:
    rig = Rig(5, most=3, down_s=300.0)
    assert rig.until(2.1, 40) == 3


def test_what_is_answered_between_two_looks_is_in_flight_for_no_longer_than_it_takes() -> None:
    """400 a second, 10 ms each: four are at work at a time, and 40 came since each look before."""
    rig = Rig(2)
    for tenth in range(1, 100):
        rig.gauges.came += 40
        rig.until(tenth / 10, 4)
    assert rig.there == 1


def test_the_last_one_stays_as_long_as_there_is_work_that_no_look_sees() -> None:
    rig = Rig(1, least=0)
    for tenth in range(1, 200):
        rig.gauges.came += 1
        assert rig.until(tenth / 10, 0) == 1


def test_none_are_left_after_a_window_without_a_request() -> None:
    rig = Rig(1, least=0)
    rig.until(2.1, 1)
    assert rig.until(8.0, 0) == 1
    assert rig.until(8.5, 0) == 0
    assert rig.until(30.0, 0) == 0


@pytest.mark.parametrize(("waiting", "wanted"), [(1, 1), (9, 3), (0, 1)])
def test_where_none_is_there_the_first_request_starts_some_at_once(waiting: int, wanted: int) -> None:
    rig = Rig(1, least=0)
    assert rig.until(10.5, 0) == 0
    rig.gauges.came += 1  # and has gone again, where nobody keeps it
    assert rig.until(10.6, waiting) == wanted


def test_one_that_is_started_stays_as_long_as_others_come_though_nobody_keeps_them() -> None:
    rig = Rig(1, least=0)
    rig.until(10.5, 0)
    for tenth in range(200):
        rig.gauges.came += tenth % 5 == 0
        assert rig.until(10.6 + tenth / 10, 0) == 1


def test_one_that_was_started_for_a_request_stays_for_a_window() -> None:
    rig = Rig(1, least=0)
    rig.until(10.5, 0)
    rig.gauges.came += 1
    rig.until(10.6, 1)
    assert rig.until(16.5, 0) == 1
    assert rig.until(18.9, 0) == 0


def test_what_came_before_the_load_starts_nobody() -> None:
    gauges = FakeGauges()
    gauges.came = 7  # readiness was asked through the balancer, say
    spec = AutoscaleSpec(target=4.0, least=0, most=2)
    autoscaler = Autoscaler(spec, gauges)
    autoscaler.begin(100.0, 1)
    assert autoscaler.wanted(100.1, NOBODY) == 0
