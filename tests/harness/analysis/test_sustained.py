import pytest

from harness.analysis.sustained import sustained_rps
from harness.records.setup import Window
from tests.harness.histories import Arm

RATES = ("8", "16", "24")
GOOD = [0.1] * 100
SLOW = [0.1] * 98 + [0.5] * 2


def ramped(*steps: list[float], errors: int = 0) -> Arm:
    """Return an arm with the latencies of each step in seconds; the first requests of each fail."""
    arm = Arm()
    windows = [Window(kind="phase", name="steady", from_s=0.0, to_s=10.0)]
    windows += [
        Window(kind="phase", name=f"ramp-{rate}", from_s=10.0 * n, to_s=10.0 * (n + 1))
        for n, rate in enumerate(RATES, start=1)
    ]
    arm.set(ramp_p99_ms=400.0, ramp_error_ratio=0.01, windows=tuple(windows))
    for rate, latencies_s in zip(RATES, steps, strict=False):
        for number, latency_s in enumerate(latencies_s):
            arm.request(end_s=latency_s, status=500 if number < errors else 200)
            arm.change(phase=f"ramp-{rate}")
    return arm


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([GOOD, GOOD, GOOD], 24.0),
        ([GOOD, GOOD, SLOW], 16.0),
        ([GOOD, GOOD], 16.0),
        ([GOOD, SLOW, GOOD], 8.0),
        ([SLOW, GOOD, GOOD], 0.0),
        ([[], [], []], 0.0),
    ],
)
def test_it_is_the_last_step_before_the_first_that_was_not_sustained(
    steps: list[list[float]], expected: float
) -> None:
    assert sustained_rps(ramped(*steps).history()) == expected


@pytest.mark.parametrize(("errors", "expected"), [(1, 24.0), (2, 0.0)])
def test_errors_end_it_as_well(errors: int, expected: float) -> None:
    assert sustained_rps(ramped(GOOD, GOOD, GOOD, errors=errors).history()) == expected


def test_slow_requests_before_the_ramp_do_not_count() -> None:
    arm = ramped(GOOD)
    arm.request(end_s=9.0)
    assert sustained_rps(arm.history()) == 8.0


def test_without_a_ramp_there_is_no_such_rate() -> None:
    arm = Arm()
    arm.request()
    assert sustained_rps(arm.history()) is None
