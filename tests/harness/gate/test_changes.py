"""Changes of level in a history."""

import numpy as np
import pytest

from harness.gate.changes import FALSE_ALARMS, segments

HISTORIES = 300


def noisy(levels: list[float], noise: float, seed: int) -> list[float]:
    drawn = np.random.default_rng(seed).normal(0, noise, len(levels))
    return [float(level * np.exp(each)) for level, each in zip(levels, drawn, strict=True)]


def test_a_step_is_found_where_it_is() -> None:
    before, after = segments(noisy([100.0] * 8 + [130.0] * 8, 0.02, 1))
    assert (before.first, before.last, after.first, after.last) == (0, 7, 8, 15)
    assert after.level / before.level == pytest.approx(1.3, rel=0.03)


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.05])
def test_ten_commits_of_four_percent_are_found(noise: float) -> None:
    levels = [100.0] * 6 + [100.0 * 1.04**commit for commit in range(1, 11)]
    found = [segments(noisy(levels, noise, seed)) for seed in range(HISTORIES)]
    rose = sum(len(each) > 1 and each[-1].level > 1.15 * each[0].level for each in found)
    assert rose >= 0.95 * HISTORIES


@pytest.mark.parametrize("sessions", [5, 12, 40])
def test_a_calm_history_has_hardly_ever_a_change(sessions: int) -> None:
    alarms = sum(len(segments(noisy([50.0] * sessions, 0.05, seed))) > 1 for seed in range(HISTORIES))
    assert alarms <= (FALSE_ALARMS + 0.015) * HISTORIES


def test_two_changes_are_three_levels() -> None:
    levels = [100.0] * 8 + [150.0] * 8 + [120.0] * 8
    assert [each.first for each in segments(noisy(levels, 0.01, 3))] == [0, 8, 16]


def test_a_short_history_and_one_that_is_all_the_same_have_one_level() -> None:
    assert len(segments([1.0, 1.0, 9.0, 9.0])) == 1
    assert len(segments([7.0] * 30)) == 1


@pytest.mark.parametrize("figures", [[], [1.0, 0.0]])
def test_what_is_no_history_is_refused(figures: list[float]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        segments(figures)
