import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import FakeClock
from harness.simulator.quota import QuotaBuckets, TokenBucket
from harness.simulator_config import Quota, RetryAfterMode

gaps = st.lists(st.floats(0, 5), min_size=1, max_size=60)
amounts = st.floats(0.1, 20)


def buckets(clock: FakeClock, **told: object) -> QuotaBuckets:
    return QuotaBuckets(Quota.model_validate({"rpm": 60, "burst": 2} | told), clock.monotonic)


@given(gaps, st.floats(0.1, 50), st.floats(1, 50), st.lists(amounts, min_size=60, max_size=60))
def test_in_any_span_a_bucket_lets_through_at_most_its_burst_and_what_was_refilled(
    gaps_s: list[float], rate: float, burst: float, wanted: list[float]
) -> None:
    clock = FakeClock()
    bucket = TokenBucket(rate, burst, clock.monotonic)
    taken: list[tuple[float, float]] = []
    for gap_s, amount in zip(gaps_s, wanted, strict=False):
        clock.advance(gap_s)
        if bucket.wait_s(amount) <= 0:
            bucket.take(amount)
            taken.append((clock.monotonic(), amount))
    for n, (begin_s, _) in enumerate(taken):
        total = 0.0
        for at_s, amount in taken[n:]:
            total += amount
            assert total <= burst + rate * (at_s - begin_s) + 1e-6


@given(gaps, st.booleans(), st.integers(1, 300))
def test_in_any_span_a_gate_admits_at_most_its_burst_and_what_was_refilled(
    gaps_s: list[float],
    charge_failed: bool,  # noqa: FBT001 - drawn by hypothesis
    tokens: int,
) -> None:
    clock = FakeClock()
    asked = buckets(clock, rpm=120, burst=5, tpm=1200, burst_tokens=200, charge_failed=charge_failed)
    admitted = []
    for gap_s in gaps_s:
        clock.advance(gap_s / 10)
        if asked.ask(tokens).admitted:
            admitted.append(clock.monotonic())
    for n, begin_s in enumerate(admitted):
        for count, at_s in enumerate(admitted[n:], start=1):
            assert count <= 5 + 2 * (at_s - begin_s) + 1e-6
            assert count * tokens <= 200 + 20 * (at_s - begin_s) + 1e-6


@given(st.floats(0.1, 50), st.floats(1, 50), st.floats(0.1, 50))
def test_who_waits_as_long_as_told_is_let_through(rate: float, burst: float, amount: float) -> None:
    clock = FakeClock()
    bucket = TokenBucket(rate, burst, clock.monotonic)
    bucket.take(burst)
    wait_s = bucket.wait_s(amount)
    if amount > burst:
        assert wait_s == math.inf
        return
    clock.advance(wait_s)
    assert bucket.wait_s(amount) == 0


def test_a_full_bucket_lets_a_burst_through_and_no_more() -> None:
    asked = buckets(FakeClock())
    assert [asked.ask(1).admitted for _ in range(4)] == [True, True, False, False]


def test_a_refused_caller_is_told_the_exact_time_until_there_is_quota() -> None:
    clock = FakeClock()
    asked = buckets(clock)
    asked.ask(1)
    asked.ask(1)
    clock.advance(0.25)
    assert asked.ask(1).retry_after_s == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("mode", "told_s"),
    [
        (RetryAfterMode.EXACT, 0.75),
        (RetryAfterMode.ROUNDED, 1.0),
        (RetryAfterMode.ABSENT, None),
        (RetryAfterMode.WRONG, 0.075),
        (RetryAfterMode.HTTP_DATE, 0.75),
        (RetryAfterMode.NEGATIVE, -0.75),
        (RetryAfterMode.DAY, 86_400.0),
    ],
)
def test_what_a_refused_caller_is_told_goes_by_the_mode(mode: RetryAfterMode, told_s: float | None) -> None:
    clock = FakeClock()
    asked = buckets(clock, retry_after=mode)
    asked.ask(1)
    asked.ask(1)
    clock.advance(0.25)
    verdict = asked.ask(1)
    assert verdict.retry_after_s == (told_s if told_s is None else pytest.approx(told_s))
    forms = {RetryAfterMode.ROUNDED: "whole", RetryAfterMode.HTTP_DATE: "http_date"}
    assert verdict.form == forms.get(mode, "exact")


def test_tokens_run_out_by_themselves() -> None:
    asked = buckets(FakeClock(), burst=100, tpm=600, burst_tokens=100)
    assert asked.ask(80).admitted
    refused = asked.ask(80)
    assert (refused.admitted, refused.kind) == (False, "rate_limit_tokens")
    assert refused.retry_after_s == pytest.approx(6.0)


def test_a_request_that_never_fits_is_not_told_to_come_back() -> None:
    verdict = buckets(FakeClock(), tpm=600, burst_tokens=100).ask(101)
    assert (verdict.admitted, verdict.retry_after_s) == (False, None)


def test_a_refused_request_takes_nothing() -> None:
    clock = FakeClock()
    asked = buckets(clock, burst=1)
    asked.ask(1)
    clock.advance(0.9)
    assert not asked.ask(1).admitted
    clock.advance(0.1)
    assert asked.ask(1).admitted


def test_a_refused_request_is_charged_where_failures_count() -> None:
    clock = FakeClock()
    asked = buckets(clock, burst=1, charge_failed=True)
    asked.ask(1)
    clock.advance(0.9)
    assert not asked.ask(1).admitted
    clock.advance(0.1)
    assert not asked.ask(1).admitted


def test_where_failures_count_who_waits_as_long_as_told_is_served_at_his_second_try() -> None:
    clock = FakeClock()
    asked = buckets(clock, burst=1, charge_failed=True)
    asked.ask(1)
    refused = asked.ask(1)
    assert not refused.admitted
    assert refused.retry_after_s == pytest.approx(2.0)  # what the refusal cost is part of it
    clock.advance(refused.retry_after_s or 0)
    assert asked.ask(1).admitted


def test_the_debt_of_failures_is_bounded_by_one_burst() -> None:
    clock = FakeClock()
    asked = buckets(clock, burst=2, charge_failed=True)
    for _ in range(500):
        asked.ask(1)
    clock.advance(3.0)
    assert asked.ask(1).admitted


def test_what_was_reserved_and_not_used_comes_back() -> None:
    asked = buckets(FakeClock(), burst=10, tpm=60, burst_tokens=100)
    asked.ask(90)
    asked.settle(60)
    assert asked.ask(70).admitted


def test_more_than_a_full_bucket_never_comes_back() -> None:
    bucket = TokenBucket(1, 10, FakeClock().monotonic)
    bucket.give(5)
    assert bucket.level == 10


def test_a_clock_put_back_takes_nothing_away() -> None:
    times = iter([10.0, 10.0, 4.0, 4.0])
    bucket = TokenBucket(1, 10, lambda: next(times))
    bucket.take(3)
    assert bucket.level == 7


def test_the_levels_that_are_told_are_true() -> None:
    verdict = buckets(FakeClock(), burst=10, tpm=600, burst_tokens=200).ask(50)
    assert (verdict.requests.limit, verdict.requests.remaining, verdict.requests.reset_s) == (60, 9, 1)
    assert verdict.tokens is not None
    assert (verdict.tokens.limit, verdict.tokens.remaining, verdict.tokens.reset_s) == (600, 150, 5)
