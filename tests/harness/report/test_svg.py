import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.report import svg


def test_text_and_attributes_are_escaped_and_elements_are_not() -> None:
    drawn = svg.element("g", "<b>&", svg.text(1, 2, '"x"'), aria_label='a"b', class_=None)
    expected = (
        '<g aria-label="a&#34;b">&lt;b&gt;&amp;<text x="1" y="2" text-anchor="start">&#34;x&#34;</text></g>'
    )
    assert drawn == expected


def test_a_linear_scale_maps_its_ends_onto_its_pixels() -> None:
    scale = svg.Linear(0, 10, 50, 250)
    assert (scale(0), scale(5), scale(10)) == (50, 150, 250)
    assert svg.Linear(3, 3, 50, 250)(3) == 50


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 10, (0, 2, 4, 6, 8, 10)),
        (0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1)),
        (7.3, 10.3, (7.5, 8, 8.5, 9, 9.5, 10)),
    ],
)
def test_ticks_are_round_and_within_the_scale(low: float, high: float, ticks: tuple[float, ...]) -> None:
    assert svg.Linear(low, high, 0, 1).ticks() == pytest.approx(ticks)


def test_a_log_scale_gives_each_decade_the_same_room() -> None:
    scale = svg.Log(0.01, 1, 0, 200)
    assert [scale(value) for value in (0.01, 0.1, 1)] == pytest.approx([0, 100, 200])
    assert scale(0) == 0
    assert scale.ticks() == pytest.approx((0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1))


@given(st.lists(st.floats(min_value=0, max_value=1e6), max_size=20))
@example([math.nextafter(1000, 2000)])
@example([math.nextafter(1000, 0), math.nextafter(0.001, 0)])
def test_a_log_scale_holds_all_its_values_between_round_ends(values: list[float]) -> None:
    scale = svg.log_scale(values, 0, 100)
    assert scale.low < scale.high
    for value in values:
        assert -1e-6 <= scale(value) <= 100 + 1e-6
    for end in (scale.low, scale.high):
        lead = end / 10.0 ** math.floor(math.log10(end) + 1e-9)
        assert any(lead == pytest.approx(step) for step in (1, 2, 5, 10))


@pytest.mark.parametrize(
    ("about", "step"), [(0.9, 1), (1, 1), (1.1, 2), (3, 5), (7, 10), (0.03, 0.05), (0, 1)]
)
def test_a_round_step_is_the_next_of_one_two_five(about: float, step: float) -> None:
    assert svg.round_step(about) == pytest.approx(step)


def test_stairs_stay_level_until_the_next_change() -> None:
    assert svg.stairs([(0, 1), (5, 3)], 9) == [(0, 1), (5, 1), (5, 3), (9, 3)]
    assert svg.stairs([], 9) == []


def test_thinning_keeps_the_ends_and_drops_what_cannot_be_seen() -> None:
    points = [(n * 0.01, 5.0) for n in range(1000)]
    thinned = svg.thin(points)
    assert thinned[0] == points[0]
    assert thinned[-1] == points[-1]
    assert len(thinned) < 30
    assert svg.thin([]) == []


def test_a_path_of_nothing_is_empty() -> None:
    assert svg.path([]) == ""
    assert svg.path([(0, 1.25), (2, 3)]) == "M0 1.2L2 3"
