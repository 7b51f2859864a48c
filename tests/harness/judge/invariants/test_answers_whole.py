from dataclasses import replace

import pytest

from harness.records.setup import FleetEvent
from tests.harness.histories import BEGIN_S, Arm, Try
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


def answered(arm: Arm, many: int = 10) -> Arm:
    for _ in range(many):
        arm.request(calls=[["eof_clean", "ok"]])
    return arm


def test_a_success_without_a_model_call_rests_on_nothing_that_is_known() -> None:
    arm = answered(Arm())
    bare = arm.request(calls=[])
    finding = find("answers-whole", arm)
    assert finding.holds is None
    assert finding.traces == (bare,)
    assert "1 successes had no model answer before they were out" in finding.message


def test_a_success_that_was_out_before_its_model_was_asked_rests_on_nothing_that_is_known() -> None:
    arm = answered(Arm())
    arm.request(due_s=5.0, end_s=5.1, calls=[[Try(at_s=5.4)]])
    assert find("answers-whole", arm).holds is None


def test_work_that_goes_on_after_an_answer_takes_nothing_from_it() -> None:
    arm = answered(Arm())
    arm.request(due_s=5.0, end_s=5.1, calls=[["ok"], [Try(at_s=5.4)]])
    assert find("answers-whole", arm).holds


def test_a_cut_answer_stands_whatever_the_others_rest_on() -> None:
    arm = answered(Arm())
    arm.request(calls=[])
    arm.request(calls=[["eof_clean"]])
    assert find("answers-whole", arm).holds is False


def test_what_was_saved_already_is_answered_without_a_call() -> None:
    arm = answered(Arm())
    arm.request(due_s=5.0, end_s=5.1, calls=[])
    arm.set(events=(FleetEvent(time_s=BEGIN_S + 5.05, action="kill", container="agent-2"),))
    assert find("answers-whole", arm).holds


def test_a_call_of_nobody_may_be_of_the_success_that_has_none() -> None:
    arm = answered(Arm())
    arm.request(calls=[])
    arm.stray()
    assert find("answers-whole", arm).holds


@pytest.mark.parametrize(
    ("served", "holds"),
    [
        (["overloaded", "overloaded"], True),
        (["conn_reset"], True),
        (["eof_clean", "overloaded"], True),
        (["overloaded", "eof_clean"], None),
    ],
)
def test_another_model_may_answer_in_place_of_one_that_did_not(
    served: list[str], *, holds: bool | None
) -> None:
    arm = answered(Arm())
    arm.request(calls=[served, [Try(at_s=0.05)]])
    asked_in_its_place = len(arm.journal) - 1
    arm.journal[asked_in_its_place] = replace(arm.journal[asked_in_its_place], model="another")
    assert find("answers-whole", arm).holds is holds


def test_another_model_that_was_asked_before_is_not_asked_in_its_place() -> None:
    arm = answered(Arm())
    arm.request(calls=[["ok"], [Try(decision="overloaded", at_s=0.05)]])
    arm.journal[-2] = replace(arm.journal[-2], model="another")
    assert find("answers-whole", arm).holds is False
