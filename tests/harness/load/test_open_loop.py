from collections.abc import Callable

import pytest

from harness.clock import FakeClock
from harness.load.open_loop import ArrivalCounts, OpenLoop
from harness.records.sent import Arrival


def arrivals(*due_s: float) -> list[Arrival]:
    return [
        Arrival(index=index, due_s=due, session_id="s", prompt=f"p{index}") for index, due in enumerate(due_s)
    ]


class Bench:
    """An open loop on a fake clock, whose calls end when the test says so."""

    def __init__(self, max_in_flight: int = 10) -> None:
        self.clock = FakeClock(start_s=100.0)
        self.sent: list[tuple[int, float, float]] = []
        self.dropped: list[int] = []
        self.pending: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self.loop = OpenLoop(
            self.send,
            spawn=self.spawn,
            now=self.clock.now,
            sleep=self.clock.sleep,
            max_in_flight=max_in_flight,
            on_drop=lambda arrival: self.dropped.append(arrival.index),
        )
        self.holds = False

    def spawn(self, function: Callable[..., None], *args: object) -> None:
        if self.holds:
            self.pending.append((function, args))
        else:
            function(*args)

    def send(self, arrival: Arrival, due_s: float) -> None:
        self.sent.append((arrival.index, due_s, self.clock.now()))


def test_each_request_goes_out_when_it_is_due_counted_from_the_start() -> None:
    bench = Bench()
    bench.loop.run(arrivals(0.0, 0.5, 0.5, 2.0), start_s=101.0)
    assert bench.sent == [(0, 101.0, 101.0), (1, 101.5, 101.5), (2, 101.5, 101.5), (3, 103.0, 103.0)]
    assert bench.loop.counts == ArrivalCounts(due=4, sent=4, late=0, dropped=0, in_flight=0)


def test_slow_answers_hold_nothing_up() -> None:
    bench = Bench()
    bench.holds = True
    bench.loop.run(arrivals(0.0, 1.0, 2.0), start_s=100.0)
    assert bench.clock.now() == 102.0
    assert bench.loop.counts.in_flight == 3


def test_what_the_load_is_late_with_keeps_its_due_time_and_is_counted_late() -> None:
    bench = Bench()
    bench.clock.advance(3.0)
    bench.loop.run(arrivals(0.0, 4.0), start_s=100.0)
    assert bench.sent == [(0, 100.0, 103.0), (1, 104.0, 104.0)]
    assert bench.loop.counts.late == 1


def test_above_the_cap_an_arrival_is_dropped_and_counted_never_postponed() -> None:
    bench = Bench(max_in_flight=2)
    bench.holds = True
    bench.loop.run(arrivals(0.0, 0.0, 0.0, 1.0), start_s=100.0)
    assert bench.dropped == [2, 3]
    assert bench.loop.counts == ArrivalCounts(due=4, sent=0, late=0, dropped=2, in_flight=2)


def test_a_call_that_ended_makes_room_for_the_next() -> None:
    bench = Bench(max_in_flight=1)
    bench.loop.run(arrivals(0.0, 0.0, 0.0), start_s=100.0)
    assert bench.loop.counts.dropped == 0


def test_a_call_that_raises_still_gives_its_place_back() -> None:
    bench = Bench(max_in_flight=1)
    bench.send = bench.loop._send = raising  # type: ignore[method-assign]
    with pytest.raises(OSError, match="unexpected"):
        bench.loop.run(arrivals(0.0), start_s=100.0)
    assert bench.loop.counts.in_flight == 0


def raising(_arrival: Arrival, _due_s: float) -> None:
    raise OSError("unexpected")


def test_what_is_under_way_belongs_to_what_is_counted_next() -> None:
    at_reset = ArrivalCounts(due=20, sent=17, late=2, dropped=1, in_flight=4)  # two are not begun yet
    before = at_reset.without_those_under_way()
    assert before == ArrivalCounts(due=16, sent=15, late=2, dropped=1)
    later = ArrivalCounts(due=30, sent=28, late=3, dropped=2)
    assert later - before == ArrivalCounts(due=14, sent=13, late=1, dropped=1)
