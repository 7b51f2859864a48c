"""What grows once is never taken for growth with each request, nor is a large leak overlooked, by chance."""

import random

import pytest

from tests.proof.growth import KINDS, told

DRAWS = 40


def said(kind: str, growth: float) -> set[str]:
    draw = random.Random(f"{kind}/{growth}")
    return {told(draw, KINDS[kind], 3000, growth) for _ in range(DRAWS)}


@pytest.mark.parametrize("kind", ["1 % at each look", "a saw of 5 %", "a step of 3 %", "a step of 10 %"])
def test_where_nothing_grows_with_each_request_no_growth_is_found(kind: str) -> None:
    assert "found" not in said(kind, 0.0)


def test_a_pool_that_is_full_before_the_load_is_long_over_is_no_growth() -> None:
    draw = random.Random(5)
    found = sum(told(draw, KINDS["a pool that fills"], 18_000, 0.0) == "found" for _ in range(DRAWS))
    assert found == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_leak_of_kilobytes_a_request_is_never_denied(kind: str) -> None:
    assert "denied" not in said(kind, 4.5)
