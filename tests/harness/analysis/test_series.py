import pytest

from harness.analysis.series import WATERFALLS, series
from harness.records import ArmSeries
from tests.harness.histories import Arm


def test_an_empty_arm_draws_nothing() -> None:
    drawn = series(Arm(containers=0).history(), [])
    assert drawn == ArmSeries()


def test_latencies_are_of_successes_in_order_of_arrival() -> None:
    arm = Arm()
    arm.request(due_s=0.0, end_s=0.3)
    arm.request(due_s=1.0, end_s=9.0, status=504, error="deadline")
    arm.request(due_s=2.0, end_s=2.1, container=2)
    drawn = series(arm.history(), [])
    assert drawn.latencies_s == pytest.approx((0.3, 0.1))
    assert drawn.optimum_latencies_s == pytest.approx((0.3, 0.1))


def test_attempts_are_told_with_their_number_and_what_was_served() -> None:
    arm = Arm()
    arm.request(due_s=1.0, calls=[["overloaded", "ok"]])
    attempts = series(arm.history(), []).attempts
    assert [(number, decision) for _, number, decision in attempts] == [(1, "overloaded"), (2, "ok")]
    assert attempts[0][0] == pytest.approx(1.001)


def test_the_slowest_trace_comes_first_then_the_evidence_each_once() -> None:
    arm = Arm()
    traces = [arm.request(due_s=n * 1.0, end_s=n + (0.9 if n == 2 else 0.1)) for n in range(4)]
    drawn = series(arm.history(), [traces[3], traces[2], "unheard of", traces[3]])
    assert [spans[0].trace_id for spans in drawn.traces] == [traces[2], traces[3]]


def test_only_a_few_traces_are_drawn() -> None:
    arm = Arm()
    traces = [arm.request(due_s=n * 1.0) for n in range(20)]
    assert len(series(arm.history(), traces).traces) == WATERFALLS
