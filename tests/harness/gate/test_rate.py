"""How fast a block may be sent."""

import pytest

from harness.gate.rate import STEPS_RPS, fitted_rate


@pytest.mark.parametrize(
    ("cpu_s", "latency_s", "slots", "cores", "rate"),
    [
        (0.010, 0.05, 64, 2.0, 90.0),
        (0.020, 0.05, 64, 2.0, 45.0),
        (0.001, 0.05, 64, 2.0, 120.0),
        (0.001, 0.10, 8, 2.0, 30.0),
        (0.010, 0.05, 64, 1.0, 45.0),
        (1.000, 9.00, 1, 0.5, STEPS_RPS[0]),
    ],
)
def test_neither_machine_nor_fleet_is_filled(
    cpu_s: float, latency_s: float, slots: int, cores: float, rate: float
) -> None:
    assert fitted_rate(cpu_s=cpu_s, latency_s=latency_s, slots=slots, cores=cores) == rate
