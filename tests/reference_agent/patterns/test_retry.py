import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import FakeClock
from reference_agent.patterns.retry import (
    Decision,
    Failure,
    Retry,
    RetryBudget,
    RetryPolicy,
    Stop,
    call_with_retry,
    decide,
    retry_after_s,
)

POLICY = RetryPolicy(max_attempts=3, base_s=2.0, deadline_s=60.0)
TRANSIENT = Failure(transient=True)
PERMANENT = Failure(transient=False)


@pytest.mark.parametrize(
    ("attempt", "failure", "elapsed_s", "u", "expected"),
    [
        (1, TRANSIENT, 0, 0.5, Retry(1.0, "backoff")),
        (2, TRANSIENT, 0, 0.5, Retry(2.0, "backoff")),
        (1, TRANSIENT, 0, 0.0, Retry(0.0, "backoff")),
        (1, Failure(transient=True, retry_after_s=3.0), 0, 0.0, Retry(3.0, "retry_after")),
        (1, Failure(transient=True, retry_after_s=3.0), 0, 0.5, Retry(4.0, "retry_after")),
        (3, TRANSIENT, 0, 0.5, Stop("exhausted")),
        (1, PERMANENT, 0, 0.5, Stop("permanent")),
        (1, Failure(transient=False, retry_after_s=1.0), 0, 0.5, Stop("permanent")),
        (1, Failure(transient=True, retry_after_s=61.0), 0, 0.0, Stop("deadline")),
        (1, TRANSIENT, 59.5, 0.5, Stop("deadline")),
        (1, TRANSIENT, 58.5, 0.5, Retry(1.0, "backoff")),
    ],
)
def test_what_follows_a_failed_attempt(
    attempt: int, failure: Failure, elapsed_s: float, u: float, expected: Decision
) -> None:
    assert decide(POLICY, attempt, failure, elapsed_s, lambda: u) == expected


@given(
    st.integers(1, 10),
    st.one_of(st.none(), st.floats(0, 100)),
    st.floats(0, 100),
    st.floats(0, 1, exclude_max=True),
)
def test_a_retry_never_comes_before_it_was_asked_for_nor_after_the_deadline(
    attempt: int, retry_after_s: float | None, elapsed_s: float, u: float
) -> None:
    decision = decide(
        POLICY, attempt, Failure(transient=True, retry_after_s=retry_after_s), elapsed_s, lambda: u
    )
    if isinstance(decision, Retry):
        assert decision.delay_s >= (retry_after_s or 0)
        assert elapsed_s + decision.delay_s < POLICY.deadline_s
        assert attempt < POLICY.max_attempts


class Calls:
    """A call that fails so many times before it succeeds."""

    def __init__(self, failures: int, failure: Failure = TRANSIENT) -> None:
        self.clock = FakeClock()
        self.failures = failures
        self.failure = failure
        self.attempts = 0
        self.told: list[tuple[int, Decision]] = []

    async def __call__(self) -> str:
        self.attempts += 1
        if self.attempts <= self.failures:
            raise ConnectionError(f"attempt {self.attempts}")
        return "answer"

    def run(self, policy: RetryPolicy = POLICY) -> Any:
        async def sleep(seconds: float) -> None:
            self.clock.sleep(seconds)

        return asyncio.run(
            call_with_retry(
                self,
                lambda _: self.failure,
                policy,
                hook=lambda attempt, decision: self.told.append((attempt, decision)),
                clock=self.clock.monotonic,
                sleep=sleep,
                uniform=lambda: 0.5,
            )
        )


def test_a_success_sleeps_not_at_all() -> None:
    calls = Calls(0)
    assert calls.run() == "answer"
    assert (calls.attempts, calls.clock.slept, calls.told) == (1, [], [])


def test_transient_failures_are_outlasted_with_growing_pauses() -> None:
    calls = Calls(2)
    assert calls.run() == "answer"
    assert calls.clock.slept == [1.0, 2.0]


def test_the_last_error_comes_out_as_it_was() -> None:
    calls = Calls(9)
    with pytest.raises(ConnectionError, match="attempt 3"):
        calls.run()
    assert calls.told[-1] == (3, Stop("exhausted"))


def test_a_permanent_error_costs_one_call_and_no_pause() -> None:
    calls = Calls(9, PERMANENT)
    with pytest.raises(ConnectionError, match="attempt 1"):
        calls.run()
    assert (calls.attempts, calls.clock.slept) == (1, [])


def test_time_spent_counts_against_the_deadline() -> None:
    calls = Calls(9, Failure(transient=True, retry_after_s=40.0))
    with pytest.raises(ConnectionError, match="attempt 2"):
        calls.run()
    assert calls.told[-1] == (2, Stop("deadline"))


def test_pauses_are_spread_over_their_whole_range() -> None:
    draws = iter(n / 1000 for n in range(1000))
    delays = [decide(POLICY, 1, TRANSIENT, 0, lambda: next(draws)) for _ in range(1000)]
    bins = [0] * 20
    for delay in delays:
        assert isinstance(delay, Retry)
        bins[int(delay.delay_s / 0.1)] += 1
    assert max(bins) / 1000 <= 0.051


HALF_PAST = "Wed, 21 Oct 2026 07:30:00 GMT"
NOW_S = 1792567740.0
"""A minute before that."""


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "1"}, 1.0),
        ({"retry-after": HALF_PAST}, 60.0),
        ({"retry-after": HALF_PAST, "date": "Wed, 21 Oct 2026 07:29:50 GMT"}, 10.0),
        ({"retry-after": HALF_PAST, "date": "today"}, 60.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 99 Oct 99999 07:28:00 GMT"}, None),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after-ms": "-1", "retry-after": "2"}, 2.0),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_when_the_provider_wants_the_next_try(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, lambda: NOW_S) == seconds


@given(st.text(), st.text())
def test_whatever_a_server_says_it_wants_is_harmless(after: str, date: str) -> None:
    asked_s = retry_after_s({"retry-after": after, "date": date}, lambda: NOW_S)
    decision = decide(POLICY, 1, Failure(transient=True, retry_after_s=asked_s), 0.0, lambda: 0.5)
    assert decision == Stop("deadline") or (isinstance(decision, Retry) and 0 <= decision.delay_s < 60)


@given(st.floats() | st.none())
def test_also_when_a_classifier_of_ones_own_hands_it_on_unseen(asked_s: float | None) -> None:
    decision = decide(POLICY, 1, Failure(transient=True, retry_after_s=asked_s), 0.0, lambda: 0.5)
    assert decision == Stop("deadline") or (isinstance(decision, Retry) and 0 <= decision.delay_s < 60)


@pytest.mark.parametrize(
    ("failure", "attempt", "outcome"),
    [
        (Failure(transient=True, answer_begun=True), 1, "answer_begun"),
        (Failure(transient=False, answer_begun=True), 1, "permanent"),
        (Failure(transient=True, answer_begun=True), 3, "answer_begun"),
    ],
)
def test_an_answer_that_the_caller_has_a_part_of_is_not_begun_again(
    failure: Failure, attempt: int, outcome: str
) -> None:
    decision = decide(POLICY, attempt, failure, 0.0, lambda: 0.5)
    assert isinstance(decision, Stop)
    assert decision.outcome == outcome


def test_only_a_retry_that_is_made_costs_of_the_budget() -> None:
    budget = RetryBudget(per_call=0.0, reserve=1.0)
    for failure, elapsed_s, attempt in ((PERMANENT, 0.0, 1), (TRANSIENT, 60.0, 1), (TRANSIENT, 0.0, 3)):
        assert isinstance(decide(POLICY, attempt, failure, elapsed_s, lambda: 0.5, budget=budget), Stop)
    assert decide(POLICY, 1, TRANSIENT, 0.0, lambda: 0.5, budget=budget) == Retry(1.0, "backoff")
    assert decide(POLICY, 1, TRANSIENT, 0.0, lambda: 0.5, budget=budget) == Stop("budget")


@given(st.lists(st.booleans()), st.floats(0, 2), st.floats(0, 20))
def test_retries_are_at_most_a_share_of_the_calls_and_the_reserve(
    events: list[bool], per_call: float, reserve: float
) -> None:
    budget = RetryBudget(per_call, reserve)
    retries = 0
    for is_call in events:
        if is_call:
            budget.earn()
        else:
            retries += budget.spend()
    assert retries <= events.count(True) * per_call + reserve + 1e-9


def test_calls_share_a_budget() -> None:
    budget = RetryBudget(per_call=0.5, reserve=2.0)
    asked: list[int] = []

    async def fails() -> None:
        asked.append(1)
        raise ConnectionError

    async def no_wait(_: float) -> None:
        pass

    async def work() -> None:
        for _ in range(20):
            with pytest.raises(ConnectionError):
                await call_with_retry(fails, lambda _: TRANSIENT, POLICY, budget=budget, sleep=no_wait)

    asyncio.run(work())
    assert len(asked) == 20 + 2 + 9
