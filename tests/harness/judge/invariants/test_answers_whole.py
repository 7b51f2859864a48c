import pytest

from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def test_whole_answers_hold_also_at_the_second_attempt() -> None:
    arm = Arm()
    arm.request()
    arm.request(calls=[["eof_clean", "ok"], ["ok"]])
    finding = find("answers-whole", arm)
    assert finding.holds
    assert finding.observed == 0


def test_a_cut_answer_that_passed_for_a_success_is_found() -> None:
    arm = Arm()
    arm.request()
    cut = arm.request(calls=[["ok"], ["eof_clean"]])
    finding = find("answers-whole", arm)
    assert finding.holds is False
    assert finding.traces == (cut,)
    assert "served: eof_clean" in finding.message


def test_a_cut_answer_that_the_caller_was_told_of_is_no_fault() -> None:
    arm = Arm()
    arm.request()
    arm.request(calls=[["eof_clean"]], status=502, error="the model's answer was cut")
    assert find("answers-whole", arm).holds


def test_failures_alone_tell_nothing() -> None:
    arm = Arm()
    arm.request(calls=[["eof_clean"]], status=502, error="cut")
    assert find("answers-whole", arm).holds is None


def test_an_empty_arm_tells_nothing() -> None:
    assert find("answers-whole", Arm()).holds is None


@pytest.mark.parametrize("kind", ["slow_stream", "slow_first_chunk"])
def test_an_answer_that_is_only_late_is_whole(kind: str) -> None:
    arm = Arm()
    arm.request(calls=[[kind]])
    finding = find("answers-whole", arm)
    assert finding.holds
    assert finding.cases == 0, "a slow answer tests nothing"
