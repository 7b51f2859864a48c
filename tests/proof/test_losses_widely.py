"""Hundreds of stores that lose, double or sample spans, or have clocks that are off: no wrong verdict."""

import random

import pytest

from tests.harness.observe.test_losses import (
    LOSSES,
    Loss,
    wrong_by_a_clock,
    wrongly_green,
    wrongly_red,
)
from tests.harness.observe.test_recorded_run import FAULTS, SOUND

pytestmark = pytest.mark.proof
DRAWS = 60
OFFSETS_MS = (-5_000, -300, -30, 30, 300, 5_000)


@pytest.mark.parametrize("lose", LOSSES)
def test_no_loss_makes_a_wrong_verdict(lose: Loss) -> None:
    draw, wrong = random.Random(lose.__name__), list[object]()
    for _ in range(DRAWS):
        sound = draw.random() < 0.5
        place = draw.choice(SOUND if sound else sorted(FAULTS))
        drawn = (
            draw.choice((0.01, draw.uniform(0.002, 0.2))),
            draw.getrandbits(32),
            draw.choice((40, 10_000)),
        )
        found = (wrongly_red if sound else wrongly_green)(lose, place, *drawn)
        wrong += [(place, *drawn, found)] if found else []
    assert not wrong


@pytest.mark.parametrize("offset_ms", OFFSETS_MS)
def test_no_clock_makes_a_wrong_verdict(offset_ms: int) -> None:
    for number, place in enumerate([*SOUND, *sorted(FAULTS)]):
        assert not wrong_by_a_clock(place, offset_ms, number), place
