"""Clocks that are set while they are in use."""

import time

import pytest

from harness.clock import SystemClock
from harness.load.caller import SteadyClock

JUMPS = pytest.mark.parametrize("jump_s", [3600.0, -3600.0])


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The time of day, and the seconds that passed."""
    told = {"day": 1_700_000_000.0, "passed": 50.0}
    monkeypatch.setattr(time, "time", lambda: told["day"])
    monkeypatch.setattr(time, "monotonic", lambda: told["passed"])
    return told


@JUMPS
@pytest.mark.parametrize("kind", [SystemClock, SteadyClock])
def test_a_time_of_day_that_is_set_moves_nothing(
    machine: dict[str, float], kind: type[SystemClock] | type[SteadyClock], jump_s: float
) -> None:
    clock = kind()
    machine["passed"] += 2.0
    machine["day"] += 2.0 + jump_s
    assert clock.now() == 1_700_000_002.0


@JUMPS
def test_a_load_that_starts_after_it_was_set_begins_when_it_is_told(
    machine: dict[str, float], jump_s: float
) -> None:
    harness = SystemClock()
    machine["day"] += jump_s
    load = SteadyClock()
    start_s = harness.now() + 0.3
    load.agree(start_s, harness.monotonic() + start_s - harness.now())
    machine["passed"] += 0.3
    assert load.now() == pytest.approx(start_s)
