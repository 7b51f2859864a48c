from dataclasses import replace

import pytest

from harness.records.setup import FleetEvent
from tests.harness.histories import BEGIN_S, Arm, Try
from tests.harness.judge.cases import find


def told(retry_after_s: float | None, came_after_s: float) -> tuple[Arm, str]:
    """An arm with one retry, so many seconds after the refusal had gone out."""
    arm = Arm()
    first = Try(decision="rate_limit_requests", at_s=1.0, lasted_s=0.5, retry_after_s=retry_after_s)
    return arm, arm.request(due_s=1.0, end_s=9.0, calls=[[first, Try(at_s=1.5 + came_after_s)]])


@pytest.mark.parametrize("came_after_s", [1.0, 1.7, 0.985])
def test_a_retry_after_the_time_told_holds(came_after_s: float) -> None:
    arm, _ = told(1.0, came_after_s)
    finding = find("retry-after-respected", arm)
    assert finding.holds
    assert finding.observed == 0


def test_a_retry_before_it_is_found_with_its_trace() -> None:
    arm, trace = told(1.0, 0.7)
    finding = find("retry-after-respected", arm)
    assert finding.holds is False
    assert finding.observed == 1
    assert finding.traces == (trace,)
    assert "the earliest by 300 ms" in finding.message


def test_the_time_counts_from_the_answer_not_from_the_call() -> None:
    arm, _ = told(1.0, 0.6)  # 1.1 s after the call
    assert find("retry-after-respected", arm).holds is False


def test_a_second_attempt_beside_the_first_was_told_nothing_yet() -> None:
    arm, _ = told(1.0, -0.3)
    assert find("retry-after-respected", arm).holds is None


def test_who_gave_up_waiting_for_an_answer_was_told_nothing() -> None:
    arm, _ = told(1.0, 0.1)
    arm.journal[0] = replace(arm.journal[0], client_gone=True)
    assert find("retry-after-respected", arm).holds is None


def test_an_answer_that_is_noted_late_makes_no_retry_early() -> None:
    arm = Arm()
    first = Try(decision="rate_limit_requests", at_s=1.0, lasted_s=0.5, noted_late_s=0.3, retry_after_s=1.0)
    arm.request(due_s=1.0, end_s=9.0, calls=[[first, Try(at_s=2.6)]])
    assert find("retry-after-respected", arm).holds


def test_a_retry_that_was_told_no_time_tells_nothing() -> None:
    arm, _ = told(None, 0.1)
    assert find("retry-after-respected", arm).holds is None


def sent_again(to: int, *, unseen: bool = False) -> Arm:
    """A container is told to wait for a second, and dies; its request is given to another at once."""
    arm = Arm(containers=2)
    for number, container in enumerate((1, 2)):  # whose each connection is
        work = [Try(connection=container)]
        arm.request(due_s=20.0 + number, container=container, calls=[work])
    first = Try(decision="rate_limit_requests", at_s=1.0, retry_after_s=1.0, connection=1, unseen=unseen)
    arm.request(
        due_s=1.0, end_s=1.5, container=2, calls=[[first, Try(at_s=1.2, connection=to, unseen=unseen)]]
    )
    arm.set(events=(FleetEvent(time_s=BEGIN_S + 1.1, action="kill", container="agent-1"),))
    return arm


def test_another_container_that_gets_the_request_was_told_of_no_wait() -> None:
    assert find("retry-after-respected", sent_again(2, unseen=True)).observed is None


def test_the_same_container_was_told() -> None:
    assert find("retry-after-respected", sent_again(1, unseen=True)).observed == 1


def test_a_model_api_of_another_protocol_may_be_asked_at_once() -> None:
    arm, _ = told(1.0, 0.1)
    arm.journal[-1] = replace(arm.journal[-1], protocol="anthropic")
    assert find("retry-after-respected", arm).holds is None
