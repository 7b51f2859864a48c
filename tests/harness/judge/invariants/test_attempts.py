import pytest

from tests.harness.histories import Arm, Try
from tests.harness.judge.cases import find


def test_three_attempts_are_within_the_bound() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "overloaded", "ok"], ["ok"]])
    finding = find("attempts-bounded", arm)
    assert finding.holds
    assert finding.observed == 3


def test_a_fourth_attempt_is_found_with_its_trace() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "ok"]])
    over = arm.request(calls=[["ok"], ["overloaded"] * 3 + ["ok"]])
    finding = find("attempts-bounded", arm)
    assert finding.holds is False
    assert finding.observed == 4
    assert finding.traces == (over,)


def test_spans_that_tell_what_was_received_agree() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "ok"], ["ok"]])
    finding = find("attempts-agree", arm)
    assert finding.holds
    assert "3 attempts received, 3 in spans, 3 by the agent's own count" in finding.message


def test_an_attempt_without_a_span_is_found() -> None:
    arm = Arm()
    arm.request()
    hidden = arm.request(calls=[["overloaded", Try(unseen=True), "ok"]])
    finding = find("attempts-agree", arm)
    assert finding.holds is False
    assert finding.observed == 1
    assert finding.traces == (hidden,)


def test_a_retry_behind_the_agent_s_back_is_found_though_the_transport_saw_it() -> None:
    arm = Arm()
    hidden = arm.request(calls=[["overloaded", Try(hidden=True)]])
    finding = find("attempts-agree", arm)
    assert finding.holds is False
    assert finding.traces == (hidden,)


def test_an_attempt_that_never_arrived_is_found() -> None:
    arm = Arm()
    lost = arm.request(calls=[["overloaded", "ok"]])
    arm.journal.pop()
    assert find("attempts-agree", arm).traces == (lost,)


@pytest.mark.parametrize("trace", [None, "c" * 32])
def test_a_call_that_belongs_to_no_request_is_found(trace: str | None) -> None:
    arm = Arm()
    arm.request()
    arm.stray(trace)
    finding = find("attempts-agree", arm)
    assert finding.holds is False
    assert "1 attempts belong to no request" in finding.message


def test_amplification_is_attempts_over_calls() -> None:
    arm = Arm()
    retried = arm.request(calls=[["overloaded", "overloaded", "ok"]])
    arm.request()
    finding = find("amplification", arm)
    assert finding.holds
    assert finding.observed == 2
    assert finding.traces == (retried,)


def test_amplification_above_the_limit_is_found_the_most_retried_first() -> None:
    arm = Arm()
    some = arm.request(calls=[["overloaded", "ok"]])
    most = arm.request(calls=[["overloaded"] * 7])
    finding = find("amplification", arm)
    assert finding.holds is False
    assert finding.observed == 4.5
    assert finding.traces == (most, some)


def test_faults_that_no_retry_mends_are_no_cases_of_hidden_retries() -> None:
    arm = Arm()
    arm.request(calls=[["bad_request"]], status=400, error="refused")
    arm.request(calls=[["slow_stream"]])
    arm.request(calls=[["overloaded", "ok"]])
    assert find("attempts-agree", arm).cases == 1
