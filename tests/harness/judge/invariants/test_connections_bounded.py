import pytest

from tests.harness.histories import Arm, Try
from tests.harness.judge.cases import find, judged


def arm_over(connections: list[int], decision: str = "ok") -> Arm:
    arm = Arm()
    for number, connection in enumerate(connections):
        arm.request(due_s=number * 1.0, calls=[[Try(decision=decision, connection=connection)]])
    return arm


def test_a_pool_filled_early_and_used_again_holds() -> None:
    finding = find("connections-bounded", arm_over([n % 12 for n in range(200)]))
    assert finding.holds
    assert finding.observed == 0
    assert "12 connections for 200 model calls" in finding.message


def test_a_connection_per_call_is_found() -> None:
    arm = arm_over(list(range(200)))
    finding = find("connections-bounded", arm)
    assert finding.holds is False
    assert finding.observed == 1.0
    assert set(finding.traces) <= {row.trace_id for row in arm.rows[100:]}
    assert finding.traces


def test_a_client_per_request_with_two_calls_each_is_found() -> None:
    finding = find("connections-bounded", arm_over([n // 2 for n in range(200)]))
    assert finding.holds is False
    assert finding.observed == 0.5


def test_a_few_more_at_a_late_peak_are_none_too_many() -> None:
    finding = find("connections-bounded", arm_over([1] * 190 + list(range(2, 12))))
    assert finding.observed == pytest.approx(0.1)
    assert finding.holds


def test_connections_that_were_cut_may_be_replaced() -> None:
    cut = arm_over([1] * 100 + list(range(100, 200)), decision="conn_reset")
    assert find("connections-bounded", cut).holds


def test_few_calls_tell_nothing() -> None:
    finding = judged("connections-bounded", arm_over(list(range(98))))
    assert (finding.holds, finding.cases) == (None, 49)
