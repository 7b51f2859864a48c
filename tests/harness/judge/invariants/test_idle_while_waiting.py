import pytest

from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def test_waiting_while_all_work_holds() -> None:
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=1.0)
    arm.request(due_s=0.1, begin_s=1.001, end_s=2.0)
    finding = find("idle-while-waiting", arm)
    assert finding.holds
    assert finding.observed == 0


def test_waiting_beside_an_idle_container_is_found_with_who_waited() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=0.0, end_s=1.0)
    waited = arm.request(due_s=0.0, wait_s=1.0, end_s=2.0)
    finding = find("idle-while-waiting", arm)
    assert finding.holds is False
    assert finding.observed == pytest.approx(0.99 / 4)  # of 2 containers over 2 s
    assert finding.traces[0] == waited


def test_without_a_server_span_nothing_is_known() -> None:
    arm = Arm()
    arm.request(without=["POST /invocations"])
    assert find("idle-while-waiting", arm).holds is None
