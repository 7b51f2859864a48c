import pytest

from tests.harness.histories import Arm, Try
from tests.harness.judge.cases import find, judged


def throttled(back_s: list[float]) -> Arm:
    arm = Arm()
    for at_s in back_s:
        first = Try(decision="overloaded", at_s=4.0)
        arm.request(due_s=4.0, end_s=at_s + 0.1, calls=[[first, Try(at_s=at_s)]])
    return arm


def test_retries_spread_over_two_seconds_hold() -> None:
    finding = find("herd-share", throttled([8 + n * 0.02 for n in range(100)]))
    assert finding.holds
    assert finding.observed == pytest.approx(0.05, abs=0.011)


def test_a_herd_is_found_with_its_traces() -> None:
    arm = throttled([5 + n * 0.04 for n in range(70)] + [8.5 + n * 0.001 for n in range(30)])
    finding = find("herd-share", arm)
    assert finding.holds is False
    assert finding.observed == pytest.approx(0.30, abs=0.011)
    assert set(finding.traces) <= {row.trace_id for row in arm.rows[70:]}
    assert finding.traces


def test_a_few_retries_may_come_together_by_chance() -> None:
    finding = judged("herd-share", throttled([8.0] * 99))
    assert finding.holds is None
    assert "too few cases: 99 first retries" in finding.message
