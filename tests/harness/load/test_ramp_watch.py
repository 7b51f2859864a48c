import pytest

from harness.clock import FakeClock
from harness.load.ramp_watch import RampWatch
from harness.ramp import RampLimits
from harness.records.sent import Arrival, RequestRow
from tests.harness.load.rows import row

LIMITS = RampLimits(p99_ms=400.0, error_ratio=0.01)
STEP = 100
"""Requests of a step: one of them may be slow, and one may fail."""


class Bench:
    """A plan of a steady phase and two steps, a request each 10 ms, on a fake clock."""

    def __init__(self, limits: RampLimits | None = LIMITS) -> None:
        self.clock = FakeClock(start_s=100.0)
        phases = ["steady"] * 10 + ["ramp-8"] * STEP + ["ramp-16"] * STEP
        self.arrivals = [
            Arrival(index=index, due_s=index * 0.01, session_id="s", prompt="p", phase=phase)
            for index, phase in enumerate(phases)
        ]
        self.watch = RampWatch(self.arrivals, limits, self.clock.now)
        self.plan = self.watch.until_lost(start_s=100.0)

    def send(self, count: int) -> list[Arrival]:
        """Take so many from the plan, fewer when it ends before, each at its time."""
        sent = []
        for _, arrival in zip(range(count), self.plan, strict=False):
            self.clock.advance(0.01)
            sent.append(arrival)
        return sent

    def end(self, arrival: Arrival, latency_s: float = 0.1, error: str | None = None) -> None:
        due_s = 100.0 + arrival.due_s
        self.watch.ended(told(arrival, due_s, latency_s, error))


def told(arrival: Arrival, due_s: float, latency_s: float, error: str | None) -> RequestRow:
    return row(arrival.index, phase=arrival.phase, due_s=due_s, end_s=due_s + latency_s, error=error)


def test_a_ramp_whose_steps_are_all_sustained_is_sent_whole() -> None:
    bench = Bench()
    sent = 0
    while batch := bench.send(1):
        bench.end(*batch)
        sent += 1
    assert sent == len(bench.arrivals)
    assert bench.watch.lost_step() is None


@pytest.mark.parametrize("fault", [{"latency_s": 0.5}, {"error": "HTTP 500"}])
def test_the_second_slow_or_failed_request_of_a_hundred_ends_the_ramp(fault: dict[str, object]) -> None:
    bench = Bench()
    *_, one, two = bench.send(12)
    bench.end(one, **fault)
    assert bench.watch.lost_step() is None
    bench.end(two, **fault)
    assert bench.watch.lost_step() == "ramp-8"
    assert bench.send(1) == []


def test_one_slow_and_one_failed_request_are_within_both_limits() -> None:
    bench = Bench()
    *_, one, two = bench.send(12)
    bench.end(one, latency_s=0.5)
    bench.end(two, error="HTTP 500")
    assert bench.watch.lost_step() is None


def test_requests_that_have_no_answer_within_the_limit_end_the_ramp_as_well() -> None:
    bench = Bench()
    bench.send(12)
    bench.clock.advance(0.35)
    assert bench.watch.lost_step() is None
    bench.clock.advance(0.1)
    assert bench.watch.lost_step() == "ramp-8"


def test_a_request_that_was_too_long_without_an_answer_is_not_slow_a_second_time_when_it_has_one() -> None:
    bench = Bench()
    *_, one = bench.send(11)
    bench.clock.advance(0.45)
    assert bench.watch.lost_step() is None
    bench.end(one, latency_s=0.5)
    assert bench.watch.lost_step() is None


def test_a_request_that_was_too_long_without_an_answer_may_still_fail() -> None:
    bench = Bench()
    *_, one, two = bench.send(12)
    bench.end(two, error="HTTP 500")
    bench.clock.advance(0.45)
    assert bench.watch.lost_step() is None
    bench.end(one, latency_s=0.5, error="timeout")
    assert bench.watch.lost_step() == "ramp-8"


def test_what_was_slow_before_the_ramp_does_not_end_it() -> None:
    bench = Bench()
    for arrival in bench.send(10):
        bench.end(arrival, latency_s=9.0)
    assert len(bench.send(1)) == 1


def test_a_later_step_is_held_against_its_own_requests() -> None:
    bench = Bench()
    sent = []
    while len(sent) < 10 + STEP + 10:
        sent += bench.send(1)
        bench.end(sent[-1])
    assert bench.watch.lost_step() is None
    slow = bench.send(2)
    for arrival in slow:
        bench.end(arrival, latency_s=0.5)
    assert bench.watch.lost_step() == "ramp-16"


def test_without_limits_nothing_ends_it() -> None:
    bench = Bench(limits=None)
    for arrival in bench.send(60):
        bench.end(arrival, latency_s=9.0, error="HTTP 500")
    assert len(bench.send(500)) == len(bench.arrivals) - 60
