from tests.harness.histories import Arm, Try
from tests.harness.judge.cases import find, judged

ONLY_OUTSIDE = ("POST /invocations", "invoke_agent")


def overlapping(requests: int, *, limit: int = 2, containers: int = 1) -> Arm:
    """As many requests as said, each with a model call of a second, all at once."""
    arm = Arm(containers=containers, limit=limit)
    for number in range(requests):
        work = [Try(at_s=0.1 + number * 0.01, lasted_s=1.0)]
        container = number % containers + 1
        arm.request(due_s=0.0, end_s=2.0, container=container, calls=[work], without=ONLY_OUTSIDE)
    return arm


def test_as_many_as_the_limit_hold_without_any_span_of_the_agent() -> None:
    finding = find("calls-within-limit", overlapping(2))
    assert finding.holds
    assert finding.observed == 0


def test_one_more_is_found_with_its_trace() -> None:
    arm = overlapping(3)
    finding = find("calls-within-limit", arm)
    assert finding.holds is False
    assert finding.observed == 1
    assert finding.traces == (arm.rows[2].trace_id,)


def test_each_container_has_a_limit_of_its_own() -> None:
    assert find("calls-within-limit", overlapping(4, containers=2)).holds


def test_calls_side_by_side_are_one_request() -> None:
    arm = Arm(containers=1, limit=1)
    side_by_side = [[Try(at_s=0.1, lasted_s=1.0)], [Try(at_s=0.2, lasted_s=1.0)]]
    arm.request(due_s=0.0, end_s=2.0, calls=side_by_side)
    assert find("calls-within-limit", arm).holds


def test_one_call_after_another_is_one_at_a_time() -> None:
    arm = Arm(containers=1, limit=1)
    for second in (0.0, 1.0):
        arm.request(due_s=second, end_s=second + 1, calls=[[Try(at_s=second + 0.001, lasted_s=1.0)]])
    assert find("calls-within-limit", arm).holds


def test_a_container_that_was_never_full_tells_nothing() -> None:
    finding = judged("calls-within-limit", overlapping(1))
    assert finding.holds is None
    assert "the limit was never reached" in finding.message
    assert "concurrency_limit" in finding.message


def test_a_call_whose_end_is_noted_late_is_not_counted_beside_the_next() -> None:
    arm = Arm(containers=1, limit=1)
    for second in range(30):
        call = Try(at_s=second + 0.001, lasted_s=0.9, noted_late_s=0.3)
        arm.request(due_s=second, end_s=second + 0.95, calls=[[call]])
    assert find("calls-within-limit", arm).holds
