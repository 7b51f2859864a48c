from dataclasses import replace

import pytest

from harness.records.seen import JournalRow
from harness.testing.attempts import MOST_SHOWN, calls_of, not_retried_within, retried, shown, too_early

OK = JournalRow(
    time_s=100.0,
    end_s=100.1,
    connection=1,
    protocol="openai",
    model="m",
    stream=False,
    call_id="a",
    attempt=1,
)
THROTTLED = replace(
    OK, decision="rate_limit_requests", source="fault", fault_class="transient", status=429, retry_after_s=0.5
)
LEFT = replace(OK, client_gone=True)


def call(*rows: JournalRow, call_id: str = "a", every_s: float = 1.0) -> list[JournalRow]:
    return [
        replace(
            row,
            call_id=call_id,
            attempt=number + 1,
            time_s=row.time_s + number * every_s,
            end_s=row.end_s + number * every_s,
        )
        for number, row in enumerate(rows)
    ]


def within(
    rows: list[JournalRow], attempts: int = 3, seconds: float | None = None, *, answered: bool = True
) -> list[str]:
    return [*not_retried_within(calls_of(rows), attempts, seconds, answered=answered)]


def test_a_call_that_is_answered_at_its_last_allowed_attempt_was_retried_within() -> None:
    assert within(call(THROTTLED, THROTTLED, OK)) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (call(THROTTLED, THROTTLED, THROTTLED, OK), "tried 4 times; 3 are allowed"),
        (call(THROTTLED), "failed and was not tried again"),
        (call(THROTTLED, THROTTLED), "tried 2 times and never answered"),
        (call(OK), "no call failed, so nothing was tested"),
        (call(LEFT), "failed and was not tried again"),
        (call(OK) + call(THROTTLED, call_id="b"), "failed and was not tried again"),
    ],
)
def test_what_was_not_retried_is_said(rows: list[JournalRow], said: str) -> None:
    (sentence,) = within(rows)
    assert said in sentence


def test_the_time_counts_from_the_first_attempt_to_the_end_of_the_last() -> None:
    rows = call(THROTTLED, OK)
    assert within(rows, seconds=1.2) == []
    assert within(rows, seconds=1.0) == ["a call took 1.100 s from its first attempt on; 1 s are allowed"]


def test_who_may_give_up_has_to_try_again_all_the_same() -> None:
    assert within(call(THROTTLED, THROTTLED), answered=False) == []
    assert within(call(THROTTLED), answered=False) == ["a call failed and was not tried again"]


def test_a_call_that_failed_once_was_never_retried() -> None:
    assert [*retried(calls_of(call(THROTTLED) + call(OK, call_id="b")))] == []
    assert [*retried(calls_of(call(THROTTLED, OK)))] == [
        "a call was tried 2 times; it was not to be tried again"
    ]
    assert [*retried(calls_of(call(OK)))] == [*not_retried_within(calls_of(call(OK)), 1, None, answered=True)]


def test_a_retry_comes_no_sooner_than_it_was_told() -> None:
    assert [*too_early(calls_of(call(THROTTLED, OK, every_s=0.6)))] == []
    early = [*too_early(calls_of(call(THROTTLED, OK, every_s=0.4)))]
    assert early == ["a retry came after 0.300 s; it was told 0.5 s"]


@pytest.mark.parametrize(
    "rows", [call(THROTTLED), call(replace(THROTTLED, retry_after_s=None), OK), call(OK)]
)
def test_where_nobody_was_told_or_came_back_nothing_was_tested(rows: list[JournalRow]) -> None:
    (sentence,) = too_early(calls_of(rows))
    assert "nothing was tested" in sentence


def test_calls_are_told_apart_and_ordered_by_when_they_came() -> None:
    later = [replace(row, time_s=row.time_s + 10, end_s=row.end_s + 10) for row in call(OK, call_id="b")]
    found = calls_of([*later, *reversed(call(THROTTLED, OK))])
    assert [[row.attempt for row in each.attempts] for each in found] == [[1, 2], [1]]
    assert [each.attempts[0].call_id for each in found] == ["a", "b"]


def test_each_attempt_is_shown_with_what_became_of_it() -> None:
    lines = shown(calls_of(call(THROTTLED, replace(LEFT, status=0)))).splitlines()
    assert lines == [
        "call 1: openai, m",
        "  attempt 1 at   0.000 s, for 0.100 s: 429 rate_limit_requests, told to come back in 0.5 s",
        "  attempt 2 at   1.000 s, for 0.100 s: no head ok, the caller hung up",
    ]


def test_a_message_shows_so_many_calls_and_says_how_many_there_are_more() -> None:
    rows = [row for number in range(MOST_SHOWN + 5) for row in call(OK, call_id=str(number))]
    assert shown(calls_of(rows)).endswith("\nand 5 more calls")
