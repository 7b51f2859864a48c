"""What a sample shows, held against each sample that there is."""

from math import comb

import pytest

from harness.observe.sampled import CHANCE, is_no_chance


def share_of_samples(at_most: int, every: int, wrong: int, drawn: int) -> float:
    hits = range(min(at_most, wrong) + 1)
    return sum(comb(wrong, hit) * comb(every - wrong, drawn - hit) for hit in hits) / comb(every, drawn)


@pytest.mark.parametrize("every", [100, 137, 400])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("limit", [0.0, 0.01, 0.05, 0.3])
def test_of_stores_beyond_a_limit_one_sample_of_twenty_is_green_at_most(
    every: int, kept: float, limit: float
) -> None:
    drawn, allowed = round(every * kept), int(limit * every + 1e-9)
    green = [
        wrong
        for wrong in range(drawn + 1)
        if wrong <= limit * drawn and is_no_chance(wrong, drawn, kept=drawn / every, limit=limit)
    ]
    red = [
        wrong
        for wrong in range(drawn + 1)
        if wrong > limit * drawn and is_no_chance(wrong, drawn, kept=drawn / every, limit=limit)
    ]
    if green:
        assert share_of_samples(max(green), every, allowed + 1, drawn) <= CHANCE
    if red:
        assert 1 - share_of_samples(min(red) - 1, every, allowed, drawn) <= CHANCE + 1e-9


@pytest.mark.parametrize(
    ("wrong", "cases", "kept", "known"),
    [
        (0, 36, 0.56, False),  # two of 64 may have failed
        (0, 299, 0.1, True),  # rule of three
        (0, 200, 0.1, False),
        (990, 100_000, 0.1, False),
        (900, 100_000, 0.1, True),
        (1_100, 100_000, 0.1, True),
        (0, 100, 1.0, True),  # all of them
        (1, 100, 1.0, True),
        (2, 100, 1.0, True),
    ],
)
def test_so_much_shows_a_share_of_one_percent(wrong: int, cases: int, kept: float, *, known: bool) -> None:
    assert is_no_chance(wrong, cases, kept=kept, limit=0.01) is known


def test_where_all_may_be_wrong_nothing_is_beyond_the_limit() -> None:
    assert is_no_chance(20, 20, kept=0.5, limit=1.0)
