"""How figures are written."""

import math

import pytest

from harness.gate.figures import figure, ratio


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0476, "0.0476"),
        (31.816, "31.82"),
        (999.44, "999.4"),
        (19130.4, "19,130"),
        (0.0, "0"),
        (-2353.0, "-2,353"),
    ],
)
def test_a_figure_has_four_digits_or_more_and_no_exponent(value: float, said: str) -> None:
    assert figure(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.1949, "1.195"), (49.887, "49.9"), (377.718, "378"), (1234.5, "1,234"), (math.inf, "inf")],
)
def test_a_large_ratio_has_no_more_decimals_than_it_is_worth(value: float, said: str) -> None:
    assert ratio(value) == said
