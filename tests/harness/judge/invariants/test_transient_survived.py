from dataclasses import replace

import pytest

from harness.records.setup import FleetEvent, Window
from tests.harness.histories import BEGIN_S, Arm, Try
from tests.harness.judge.cases import find


def test_faults_that_a_retry_outlives_hold() -> None:
    arm = Arm()
    for decision in ("overloaded", "conn_reset", "rate_limit_requests"):
        arm.request(calls=[[decision, "ok"]])
    finding = find("transient-survived", arm)
    assert finding.holds
    assert finding.observed == 1


def test_requests_lost_to_a_transient_fault_are_found() -> None:
    arm = Arm()
    for _ in range(9):
        arm.request(calls=[["overloaded", "ok"]])
    lost = arm.request(status=503, error="not available", calls=[["overloaded"] * 3])
    finding = find("transient-survived", arm)
    assert finding.holds is False
    assert finding.observed == pytest.approx(0.9)
    assert finding.traces == (lost,)


def test_requests_that_met_a_permanent_fault_as_well_are_left_out() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "ok"]])
    arm.request(status=502, error="refused", calls=[["overloaded", "auth"]])
    assert find("transient-survived", arm).observed == 1


def test_requests_without_a_fault_tell_nothing() -> None:
    arm = Arm()
    arm.request()
    assert find("transient-survived", arm).holds is None


def test_what_is_lost_in_a_storm_is_nobodys_fault() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "ok"]])
    arm.request(calls=[["overloaded"]], status=503, error="throttled")
    arm.rows[-1] = replace(arm.rows[-1], phase="storm")
    assert find("transient-survived", arm).observed == 1.0


def test_what_is_tried_again_in_a_storm_is_lost_in_it() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "ok"]])
    tries = [Try(decision="overloaded", at_s=9.0), Try(decision="overloaded", at_s=10.5)]
    arm.request(due_s=9.0, end_s=11.0, calls=[tries], status=503, error="throttled")
    arm.request(due_s=20.0, calls=[["overloaded", "ok"]])
    storm = Window(kind="phase", name="storm", from_s=10.0, to_s=12.0)
    arm.set(windows=(storm, Window(kind="phase", name="calm", from_s=15.0, to_s=25.0)))
    finding = find("transient-survived", arm)
    assert (finding.observed, finding.cases) == (1.0, 2)
    arm.set(windows=(storm,))
    assert find("transient-survived", arm).cases == 1, "it lasts until something else begins"


@pytest.mark.parametrize(("container", "tested"), [(1, 0), (2, 1)])
def test_what_was_lost_with_its_container_is_no_retry_s_fault(container: int, tested: int) -> None:
    arm = Arm()
    arm.request(calls=[["overloaded"]], status=503, error="reset", container=container)
    kill = FleetEvent(time_s=BEGIN_S + 0.05, action="kill", container="agent-1")
    arm.set(events=(kill,))
    assert find("transient-survived", arm).cases == tested
