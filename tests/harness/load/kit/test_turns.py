import gevent

from harness.load.kit.turns import Turns
from harness.records.sent import Arrival


class Calls:
    """Calls that end when the test says so; the clock is the test's."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.begun: list[tuple[int, float]] = []
        self.ends = {index: gevent.event.Event() for index in range(4)}
        self.turns = Turns(self.call, lambda: self.now_s)

    def call(self, arrival: Arrival, due_s: float) -> None:
        self.begun.append((arrival.index, due_s))
        self.ends[arrival.index].wait()

    def send(self, index: int, session: str, due_s: float) -> gevent.Greenlet:
        arrival = Arrival(index=index, due_s=0.0, session_id=session, prompt="p")
        sent = gevent.spawn(self.turns.call, arrival, due_s)
        gevent.sleep(0)
        return sent

    def end(self, index: int, at_s: float) -> None:
        self.now_s = at_s
        self.ends[index].set()
        for _ in range(4):
            gevent.sleep(0)


def test_a_turn_waits_for_the_answer_before_it_and_is_due_when_that_is_there() -> None:
    calls = Calls()
    calls.send(0, "a", 100.0)
    calls.send(1, "a", 102.0)
    calls.send(2, "b", 102.5)
    assert calls.begun == [(0, 100.0), (2, 102.5)]
    calls.end(0, 107.0)
    assert calls.begun[2:] == [(1, 107.0)]


def test_a_turn_that_comes_after_the_answer_is_due_when_it_was_planned() -> None:
    calls = Calls()
    calls.send(0, "a", 100.0)
    calls.end(0, 101.0)
    calls.send(1, "a", 102.0)
    assert calls.begun[1:] == [(1, 102.0)]


def test_turns_of_a_session_stay_in_order_and_of_one_that_is_over_nothing_is_kept() -> None:
    calls = Calls()
    for index in range(3):
        calls.send(index, "a", 100.0 + index)
    calls.end(0, 105.0)
    assert [index for index, _ in calls.begun] == [0, 1]
    calls.end(1, 106.0)
    calls.end(2, 107.0)
    assert [index for index, _ in calls.begun] == [0, 1, 2]
    calls.send(3, "a", 120.0)
    assert calls.begun[-1] == (3, 120.0)
