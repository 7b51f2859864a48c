import pytest

from tests.harness.histories import Arm, Try
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


def test_a_retry_that_was_told_no_time_tells_nothing() -> None:
    arm, _ = told(None, 0.1)
    assert find("retry-after-respected", arm).holds is None
