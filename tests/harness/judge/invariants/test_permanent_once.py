from dataclasses import replace

from tests.harness.histories import Arm
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


def test_without_a_permanent_fault_nothing_is_known() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "ok"]])
    assert find("permanent-once", arm).holds is None
