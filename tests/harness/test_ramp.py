import pytest

from harness.ramp import RampLimits, phase_of, rate_of

LIMITS = RampLimits(p99_ms=400.0, error_ratio=0.02)


@pytest.mark.parametrize(
    ("requests", "failed", "slow", "expected"),
    [
        (100, 0, 0, True),
        (100, 2, 0, True),
        (100, 3, 0, False),
        (100, 0, 1, True),
        (100, 0, 2, False),
        (99, 0, 1, False),
        (199, 0, 1, True),
        (200, 0, 2, True),
        (350, 7, 3, True),
        (100, 100, 100, False),
    ],
)
def test_a_step_is_sustained_while_few_fail_and_one_in_a_hundred_is_slow(
    requests: int,
    failed: int,
    slow: int,
    *,
    expected: bool,
) -> None:
    assert LIMITS.allow(requests=requests, failed=failed, slow=slow) is expected


@pytest.mark.parametrize("rate", [8.0, 0.5, 12.25, 999.0])
def test_a_steps_name_tells_its_rate(rate: float) -> None:
    assert rate_of(phase_of(rate)) == rate


def test_the_name_of_a_whole_rate_has_no_decimals() -> None:
    assert phase_of(8.0) == "ramp-8"


@pytest.mark.parametrize("phase", ["steady", "burst", "ramped"])
def test_another_phase_is_no_step(phase: str) -> None:
    assert rate_of(phase) is None
