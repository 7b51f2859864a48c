import pytest

from harness.records.setup import Window
from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def saturated(containers: int, rps: int) -> Arm:
    arm = Arm(containers=containers)
    arm.set(windows=(Window(kind="phase", name="steady", from_s=0.0, to_s=10.0),))
    for number in range(10 * rps):
        end_s = number / rps
        arm.request(due_s=0.0, end_s=end_s, container=number % containers + 1)
    return arm


@pytest.mark.parametrize(("rps", "share"), [(16, 1.0), (12, 0.75)])
def test_throughput_is_held_against_that_of_fewer_containers(rps: int, share: float) -> None:
    finding = find("scaling-share", saturated(4, rps), versus=saturated(1, 4))
    assert finding.observed == pytest.approx(share)
    assert finding.holds is (share >= 0.95)
    assert finding.traces


def test_without_an_answer_or_a_steady_phase_nothing_is_known() -> None:
    assert find("scaling-share", Arm(), versus=saturated(1, 4)).holds is None
    assert find("scaling-share", saturated(4, 16), versus=Arm()).holds is None
    assert find("scaling-share", saturated(4, 16)).holds is None
    nobody = saturated(4, 16)
    nobody.set(containers=())
    assert find("scaling-share", nobody, versus=saturated(1, 4)).holds is None
