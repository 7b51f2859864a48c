"""A few of the inputs of `make fuzz`, for each target, with every run of the tests."""

import random

import pytest

from tests.fuzz.targets import SHARES, TARGETS

INPUTS = 300


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", TARGETS)
def test_what_nobody_meant_is_told_and_breaks_nothing(name: str) -> None:
    for number in range(max(10, round(INPUTS * SHARES.get(name, 1.0)))):
        TARGETS[name](random.Random(f"1/{name}/{number}"))
