import random
from dataclasses import replace

import pytest

from harness.judge.invariants.session_load_tail import chance_of
from tests.harness.histories import Arm
from tests.harness.judge.cases import find, judged


def arm_of(loads_ms: list[float], saves_ms: list[float]) -> Arm:
    arm = Arm(containers=1)
    for number, (load_ms, save_ms) in enumerate(zip(loads_ms, saves_ms, strict=True)):
        arm.request(due_s=float(number))
        arm.span("session.load", number + 0.01, number + 0.01 + load_ms / 1e3)
        arm.span("session.save", number + 0.05, number + 0.05 + save_ms / 1e3)
    return arm


def usual_ms(chance: random.Random, noisy: float) -> float:
    """Half a millisecond, and a tail of tens of them in a share of the cases."""
    return chance.lognormvariate(-0.7, 0.5) + (chance.random() * 40 if chance.random() < noisy else 0)


def shares(seed: int, *, broken: float, noisy: float, requests: int = 700) -> Arm:
    chance = random.Random(seed)
    loads = [usual_ms(chance, noisy) + (12 if chance.random() < broken else 0) for _ in range(requests)]
    return arm_of(loads, [usual_ms(chance, noisy) for _ in range(requests)])


@pytest.mark.parametrize("noisy", [0.0, 0.008])
def test_a_tail_that_saves_have_as_well_is_the_machine_s(noisy: float) -> None:
    finding = find("session-load-tail", shares(1, broken=0.0, noisy=noisy))
    assert finding.holds


@pytest.mark.parametrize("broken", [0.0, 0.03, 0.1])
def test_a_machine_that_slows_the_saves_hides_what_it_does_not_slow(broken: float) -> None:
    finding = find("session-load-tail", shares(1, broken=broken, noisy=0.1))
    assert finding.holds is None
    assert "leave it to the run" in finding.message


def test_twelve_milliseconds_in_three_loads_of_a_hundred_are_found() -> None:
    arm = shares(2, broken=0.03, noisy=0.0)
    finding = find("session-load-tail", arm)
    assert finding.holds is False
    assert finding.observed == pytest.approx(0.03, abs=0.015)
    slow = {span.trace_id for span in arm.spans if span.name == "session.load" and span.duration_s > 0.011}
    assert finding.traces
    assert set(finding.traces) <= slow


def test_of_few_loads_it_is_chance() -> None:
    assert find("session-load-tail", arm_of([0.5] * 95 + [15] * 5, [0.5] * 100)).holds


@pytest.mark.parametrize(
    ("more", "fewer", "chance"), [(0, 0, 1.0), (10, 0, 2**-10), (1, 1, 0.75), (3, 1, 5 / 16)]
)
def test_how_often_it_is_chance(more: int, fewer: int, chance: float) -> None:
    assert chance_of(more, fewer) == pytest.approx(chance)


def test_a_sound_store_falls_short_once_in_a_thousand_runs_at_the_most_and_a_slow_one_is_found() -> None:
    """Drawn as counts: of 700 loads and saves each, how many are slow."""
    chance = random.Random(3)

    def slow(share: float) -> int:
        return sum(chance.random() < share for _ in range(700))

    draws = 300
    sound = [(slow(share), slow(share)) for share in (0.0, 0.005, 0.01) for _ in range(draws // 3)]
    broken = [(slow(0.03), slow(0.0)) for _ in range(draws)]

    def found(more: int, fewer: int) -> bool:
        return (more - fewer) / 700 > 0.01 and chance_of(more, fewer) <= 0.001

    assert sum(found(*each) for each in sound) == 0
    assert sum(found(*each) for each in broken) >= 0.99 * draws


def test_loads_or_saves_that_are_missing_make_it_unknown() -> None:
    arm = arm_of([0.5] * 720, [0.5] * 720)
    assert judged("session-load-tail", arm).holds
    arm.spans = [span for number, span in enumerate(arm.spans) if span.name != "session.save" or number % 2]
    assert judged("session-load-tail", arm).holds is None


def test_of_a_ramp_the_first_steps_are_looked_at() -> None:
    arm = arm_of([0.5] * 800 + [15] * 100, [0.5] * 900)
    arm.rows = [
        replace(row, phase="ramp-8" if number < 720 else "ramp-99") for number, row in enumerate(arm.rows)
    ]
    assert judged("session-load-tail", arm).holds is False
    arm.set(ramp_p99_ms=500.0)
    finding = judged("session-load-tail", arm)
    assert finding.holds
    assert finding.cases == 720
