import pytest

from harness.records.setup import Window
from tests.harness.histories import Arm
from tests.harness.judge.cases import find

RATES = (8, 16, 32)


def ramped(sustained: int) -> Arm:
    """Return an arm whose first steps, so many of them, were sustained."""
    arm = Arm()
    arm.set(
        ramp_p99_ms=400.0,
        ramp_error_ratio=0.01,
        windows=tuple(
            Window(kind="phase", name=f"ramp-{rate}", from_s=at, to_s=at + 1.0)
            for at, rate in enumerate(RATES)
        ),
    )
    for step, rate in enumerate(RATES):
        arm.request(due_s=float(step), end_s=step + (0.1 if step < sustained else 0.9))
        arm.change(phase=f"ramp-{rate}")
    return arm


@pytest.mark.parametrize(
    ("own", "other", "ratio", "holds"), [(3, 1, 4.0, True), (2, 1, 2.0, True), (1, 1, 1.0, False)]
)
def test_the_sustained_rate_is_held_against_the_other_arms(
    own: int, other: int, ratio: float, *, holds: bool
) -> None:
    finding = find("sustained-ratio", ramped(own), versus=ramped(other))
    assert finding.observed == ratio
    assert finding.holds is holds


def test_an_arm_that_sustains_nothing_falls_short() -> None:
    finding = find("sustained-ratio", ramped(0), versus=ramped(1))
    assert finding.observed == 0
    assert finding.holds is False


def test_against_an_arm_that_sustains_nothing_the_first_step_bounds_the_ratio() -> None:
    finding = find("sustained-ratio", ramped(3), versus=ramped(0))
    assert finding.observed == 4
    assert finding.holds is True
    assert "not even 8, the first step, in the other arm: ratio above 4" in finding.message


@pytest.mark.parametrize("own", [0, 1])
def test_a_bound_below_the_limit_tells_nothing(own: int) -> None:
    finding = find("sustained-ratio", ramped(own), versus=ramped(0))
    assert finding.holds is None
    assert "begin the ramp lower" in finding.message


def test_without_a_ramp_it_tells_nothing() -> None:
    arm = Arm()
    arm.request()
    assert find("sustained-ratio", arm, versus=ramped(1)).holds is None
    assert find("sustained-ratio", ramped(1), versus=arm).holds is None
