import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.throttle import goodput_share, herd
from harness.records.seen import JournalRow
from tests.harness.histories import Arm


def retry(time_s: float, number: int = 0, attempt: int = 2) -> JournalRow:
    return JournalRow(
        time_s=time_s, end_s=time_s, connection=1, protocol="openai", model="m", stream=True,
        call_id=f"call-{number}", attempt=attempt, trace_id=f"{number:032x}",
    )  # fmt: skip


def test_all_at_one_instant_are_a_whole_herd() -> None:
    found = herd([retry(8.0, n) for n in range(100)])
    assert found.share == 1.0
    assert len(found.traces) == 100


def test_a_herd_across_the_edge_of_two_bins_is_one() -> None:
    found = herd([retry(7.96 + n * 0.0008, n) for n in range(100)])  # 80 ms, from 7.96 to 8.04
    assert found.share == 1.0


def test_the_window_is_open_at_its_end() -> None:
    found = herd([retry(0.0, n) for n in range(50)] + [retry(0.1, n) for n in range(50, 100)])
    assert found.share == 0.5
    assert set(found.traces) == {f"{n:032x}" for n in range(50)}


def test_first_tries_are_no_retries() -> None:
    spread = [retry(n * 1.0, n) for n in range(100)]
    firsts = [retry(600.0, n, attempt=1) for n in range(100)]
    assert herd(spread + firsts).share == 0.01


@pytest.mark.parametrize("attempt", [3, 4])
def test_a_herd_of_later_retries_is_found_beside_first_ones_that_are_spread(attempt: int) -> None:
    spread = [retry(n * 1.0, n) for n in range(200)]
    later = [retry(500.0 + n * 0.00005, n, attempt=attempt) for n in range(200)]
    found = herd(spread + later)
    assert (found.share, found.retry, found.retries, found.first_retries) == (1.0, attempt - 1, 200, 200)


def test_few_later_retries_tell_nothing() -> None:
    spread = [retry(n * 1.0, n) for n in range(100)]
    later = [retry(500.0, n, attempt=3) for n in range(49)]
    assert herd(spread + later).share == 0.01


def test_later_retries_of_those_that_a_fault_turned_away_count_whatever_turned_them_away_then() -> None:
    tries = [
        retry(at_s, n, attempt) for n in range(100) for attempt, at_s in ((1, 5.5), (2, 8.0 + n), (3, 200.0))
    ]
    others = [retry(300.0 + n, 1000 + n, 3) for n in range(500)]
    found = herd(tries + others, [(5.0, 6.0)])
    assert (found.retry, found.retries, found.share) == (2, 100, 1.0)


def test_too_few_retries_tell_nothing() -> None:
    found = herd([retry(8.0, n) for n in range(99)])
    assert found.share is None
    assert found.first_retries == 99


def test_full_jitter_over_a_second_is_no_herd() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        share = herd([retry(8.0 + rng.random(), n) for n in range(400)]).share
        assert share is not None
        assert share <= 0.2


def test_as_few_as_are_looked_at_are_no_herd_when_spread_by_full_jitter() -> None:
    """First retries over 2 s and second ones over 4 s: in 1,000 draws, none has a fifth within 100 ms."""
    rng = random.Random(5)
    for _ in range(1000):
        first = [retry(8.0 + 2 * rng.random(), n) for n in range(100)]
        second = [retry(20.0 + 4 * rng.random(), n, attempt=3) for n in range(50)]
        share = herd(first + second).share
        assert share is not None
        assert share <= 0.2


def test_in_slow_motion_the_window_is_as_much_longer() -> None:
    """What fell into 100 ms falls into 250 when the waits are 2.5 times as long; what was spread stays so."""
    rng = random.Random(6)
    together = [retry(8.0 + 2.5 * 0.09 * rng.random(), n) for n in range(100)]
    spread = [retry(8.0 + 2.5 * 2 * rng.random(), n) for n in range(400)]
    assert (herd(together, slowed=2.5).share, herd(together, slowed=2.5).window_s) == (1.0, 0.25)
    assert (herd(together).share or 0.0) < 0.7
    assert (herd(spread, slowed=2.5).share or 1.0) <= 0.2


@given(st.lists(st.integers(0, 2000), min_size=100, max_size=150))
def test_it_is_the_worst_over_all_offsets_of_a_bin(times_ms: list[int]) -> None:
    # A little less than a ms each, so that 100 of them are inside the window whatever the rounding.
    share = herd([retry(time * 0.000999, n) for n, time in enumerate(times_ms)]).share
    assert share == max(sum(begin <= time <= begin + 100 for time in times_ms) for begin in times_ms) / len(
        times_ms
    )


def goodput_of(arm: Arm, *, rps: float = 10.0, burst: float = 5.0, end_s: float = 1.0) -> float | None:
    arm.set(quota_rps=rps, quota_burst=burst, end_s=end_s)
    data = arm.data()
    return goodput_share(data.journal, data.facts)


def test_when_every_call_succeeds_goodput_is_whole() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "ok"], ["ok"]])
    assert goodput_of(arm) == 1.0


def test_calls_lost_to_transient_faults_lower_it_and_permanent_ones_do_not() -> None:
    arm = Arm()
    arm.request()
    arm.request(calls=[["overloaded"] * 3])
    arm.request(calls=[["auth"]])
    assert goodput_of(arm) == 0.5


def test_more_calls_than_the_quota_lets_through_are_held_against_the_quota() -> None:
    arm = Arm()
    for number in range(30):
        arm.request(calls=[["ok" if number < 12 else "rate_limit_requests"]])
    assert goodput_of(arm) == 12 / 15


def test_there_is_no_goodput_without_a_quota_or_without_a_call() -> None:
    arm = Arm()
    data = arm.data()
    assert goodput_share(data.journal, data.facts) is None
    assert goodput_of(arm) is None


def test_where_a_fault_had_a_time_only_those_it_turned_away_can_be_a_herd() -> None:
    turned_away = [retry(5.0 + n / 100, n, attempt=1) for n in range(100)]
    back = [retry(8.0, n) for n in range(100)]
    others = [retry(n / 10, 1000 + n, attempt) for n in range(200) for attempt in (1, 2) if not 50 <= n < 60]
    hidden = herd(turned_away + back + others).share
    assert hidden is not None
    assert hidden < 0.4
    found = herd(turned_away + back + others, [(5.0, 6.0)])
    assert (found.first_retries, found.share) == (100, 1.0)
