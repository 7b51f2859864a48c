import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import FakeClock
from reference_agent.patterns.busy_signal import BusySignal, BusyState


def test_it_is_busy_exactly_while_no_slot_is_free() -> None:
    busy = BusySignal(2)
    assert busy.status == "Healthy"
    first, second = busy.try_acquire(), busy.try_acquire()
    assert first is not None
    assert second is not None
    assert busy.status == "HealthyBusy"
    first.release()
    assert busy.status == "Healthy"


def test_at_the_limit_it_refuses_at_once_and_counts_that() -> None:
    busy = BusySignal(1)
    assert busy.try_acquire() is not None
    assert busy.try_acquire() is None
    assert busy.state == BusyState(in_flight=1, limit=1, rejections=1)


def test_the_stamp_is_the_time_of_the_change_not_of_the_asking() -> None:
    clock = FakeClock(1000.0)
    busy = BusySignal(1, now=clock.now)
    clock.advance(5.9)
    slot = busy.try_acquire()
    clock.advance(60)
    assert busy.changed_at == 1005
    assert busy.changed_at == 1005
    assert slot is not None
    slot.release()
    assert busy.changed_at == 1065


def test_requests_below_the_limit_leave_the_stamp_alone() -> None:
    clock = FakeClock(1000.0)
    busy = BusySignal(3, now=clock.now)
    clock.advance(10)
    assert busy.try_acquire() is not None
    assert busy.changed_at == 1000


def test_a_slot_is_given_back_once_however_often_it_is_released() -> None:
    busy = BusySignal(2)
    slot, other = busy.try_acquire(), busy.try_acquire()
    assert slot is not None
    with slot:
        pass
    slot.release()
    assert busy.state.in_flight == 1
    assert other is not None


def test_a_slot_is_given_back_also_when_the_work_fails() -> None:
    busy = BusySignal(1)
    slot = busy.try_acquire()
    assert slot is not None
    with pytest.raises(RuntimeError), slot:
        raise RuntimeError("work failed")
    assert busy.state.in_flight == 0


def test_the_hook_sees_every_change() -> None:
    seen: list[BusyState] = []
    busy = BusySignal(1, hook=seen.append)
    slot = busy.try_acquire()
    busy.try_acquire()
    assert slot is not None
    slot.release()
    assert [(s.in_flight, s.rejections, s.busy) for s in seen] == [(1, 0, True), (1, 1, True), (0, 1, False)]


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="limit is 0"):
        BusySignal(0)


@given(st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_whatever_comes_and_goes_the_count_stays_between_nothing_and_the_limit(
    limit: int, arrivals: list[bool]
) -> None:
    busy = BusySignal(limit)
    held = []
    for arrives in arrivals:
        if arrives:
            slot = busy.try_acquire()
            assert (slot is None) == (len(held) == limit)
            if slot is not None:
                held.append(slot)
        elif held:
            held.pop().release()
        assert busy.state.in_flight == len(held)
        assert (busy.status == "HealthyBusy") == (len(held) == limit)
