from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def test_it_holds_when_every_request_is_answered() -> None:
    arm = Arm()
    arm.request()
    finding = find("no-errors", arm)
    assert finding.holds
    assert finding.observed == 0


def test_a_failure_without_cause_is_found() -> None:
    arm = Arm()
    arm.request()
    lost = arm.request(status=0, error="connection reset", container=None)
    finding = find("no-errors", arm)
    assert finding.holds is False
    assert finding.observed == 0.5
    assert finding.traces == (lost,)
    assert "no answer, connection reset" in finding.message


def test_a_refusal_of_the_model_for_good_is_a_cause() -> None:
    arm = Arm()
    arm.request()
    arm.request(status=502, error="the model refused", calls=[["auth"]])
    assert find("no-errors", arm).holds


def test_a_transient_fault_is_no_cause() -> None:
    arm = Arm()
    failed = arm.request(status=503, error="not available", calls=[["overloaded"]])
    assert find("no-errors", arm).traces == (failed,)


def test_failures_with_cause_alone_are_nothing_to_judge_by() -> None:
    arm = Arm()
    arm.request(status=502, error="the model refused", calls=[["auth"]])
    assert find("no-errors", arm).holds is None
