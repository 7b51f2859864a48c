from dataclasses import replace

import pytest

from tests.harness.histories import Arm, Try
from tests.harness.judge.cases import find


def test_one_attempt_of_a_permanent_error_holds() -> None:
    arm = Arm()
    arm.request(status=502, error="refused", calls=[["auth"]])
    finding = find("permanent-once", arm)
    assert finding.holds
    assert finding.observed == 1


def test_a_permanent_error_after_a_transient_one_is_still_met_once() -> None:
    arm = Arm()
    arm.request(status=502, error="refused", calls=[["overloaded", "bad_request"]])
    assert find("permanent-once", arm).holds


def test_a_retry_of_a_permanent_error_is_found_with_its_trace() -> None:
    arm = Arm()
    arm.request(status=502, error="refused", calls=[["auth"]])
    again = arm.request(status=502, error="refused", calls=[["auth", "auth"]])
    finding = find("permanent-once", arm)
    assert finding.holds is False
    assert finding.observed == 2
    assert finding.traces == (again,)


def test_a_wait_after_a_permanent_error_is_found_though_nothing_was_sent_after_it() -> None:
    arm = Arm()
    slept = arm.request(status=502, error="refused", calls=[["auth", "auth"]])
    arm.journal.pop()
    finding = find("permanent-once", arm)
    assert finding.holds is False
    assert finding.traces == (slept,)
    assert "1 requests waited to retry it" in finding.message


def test_a_wait_without_any_note_of_it_is_no_wait() -> None:
    arm = Arm()
    arm.request(status=502, error="refused", calls=[["auth"]])
    arm.spans = [replace(span, events=()) for span in arm.spans]
    assert find("permanent-once", arm).holds


def failing(after_s: float, requests: int = 8) -> Arm:
    """Requests that fail so long after a permanent error, and no wait is noted; others succeed."""
    arm = with_usual(Arm(), 1)
    for number in range(requests):
        due_s = 50.0 + number
        refused = [Try(decision="auth", at_s=due_s + 0.01)]
        arm.request(due_s=due_s, end_s=due_s + 0.01 + after_s, status=502, error="refused", calls=[refused])
    return arm


def test_who_sleeps_before_it_gives_up_is_found_without_any_note_of_it() -> None:
    finding = find("permanent-once", failing(1.2))
    assert finding.holds is False
    assert finding.observed == 1
    assert "who failed for it did so 1.2 s after it in the median" in finding.message
    assert len(finding.traces) == 8


@pytest.mark.parametrize(("after_s", "requests"), [(0.2, 8), (1.2, 7)], ids=["at once", "too few"])
def test_who_fails_soon_after_it_did_not_wait(after_s: float, requests: int) -> None:
    assert find("permanent-once", failing(after_s, requests)).holds


def test_who_is_answered_otherwise_after_a_permanent_error_may_take_its_time() -> None:
    arm = with_usual(Arm(), 1)
    for number in range(8):
        due_s = 50.0 + number
        arm.request(due_s=due_s, end_s=due_s + 2, calls=[[Try(decision="auth", at_s=due_s + 0.01)]])
    assert find("permanent-once", arm).holds


def test_without_a_permanent_fault_nothing_is_known() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "ok"]])
    assert find("permanent-once", arm).holds is None


def test_a_permanent_error_that_is_tried_again_in_other_words_is_not_known_to_be_met_once() -> None:
    arm = Arm()
    again = arm.request(status=502, error="refused", calls=[["auth"], [Try(decision="auth", at_s=0.02)]])
    finding = find("permanent-once", arm)
    assert finding.holds is None
    assert finding.traces == (again,)
    assert "1 requests asked the same model again" in finding.message


def test_steps_before_a_permanent_error_and_beside_it_are_no_retries() -> None:
    arm = Arm()
    arm.request(status=502, error="refused", calls=[["ok"], [Try(decision="auth", at_s=0.02)]])
    arm.request(status=502, error="refused", calls=[[Try(decision="auth", lasted_s=0.01)], ["ok"]])
    assert find("permanent-once", arm).holds


def test_another_model_may_be_asked_after_a_permanent_error() -> None:
    arm = Arm()
    arm.request(calls=[["auth"], [Try(at_s=0.02)]])
    arm.journal[-1] = replace(arm.journal[-1], model="another")
    assert find("permanent-once", arm).holds


def with_usual(arm: Arm, steps: int, requests: int = 8) -> Arm:
    """Add requests that nothing is refused, each of so many steps."""
    for number in range(requests):
        arm.request(due_s=1.0 + number, calls=[[Try(at_s=1.0 + number + step / 50)] for step in range(steps)])
    return arm


@pytest.mark.parametrize(
    ("steps", "requests", "holds"), [(2, 8, True), (3, 8, True), (1, 8, None), (2, 7, None), (2, 0, None)]
)
def test_a_request_that_goes_on_with_its_next_step_after_a_permanent_error_did_not_retry(
    steps: int, requests: int, *, holds: bool | None
) -> None:
    arm = with_usual(Arm(), steps, requests)
    arm.request(due_s=30.0, calls=[[Try(decision="auth", at_s=30.01)], [Try(at_s=30.05)]])
    assert find("permanent-once", arm).holds is holds


def test_one_more_call_than_usual_or_one_more_refusal_may_be_a_retry() -> None:
    refused = [Try(decision="auth", at_s=30.01)]
    for calls in (
        [refused, [Try(at_s=30.05)], [Try(at_s=30.07)]],
        [refused, [Try(decision="auth", at_s=30.05)]],
    ):
        arm = with_usual(Arm(), 2)
        arm.request(due_s=30.0, calls=calls)
        assert find("permanent-once", arm).holds is None


def test_a_retry_stands_whatever_was_asked_in_other_words() -> None:
    arm = Arm()
    arm.request(status=502, error="refused", calls=[["auth"], [Try(decision="auth", at_s=0.02)]])
    arm.request(status=502, error="refused", calls=[["auth", "auth"]])
    assert find("permanent-once", arm).holds is False
