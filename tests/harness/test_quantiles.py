import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.quantiles import quantile


def test_the_p99_of_a_hundred_is_the_second_largest() -> None:
    assert quantile(range(1, 101), 0.99) == 99


@pytest.mark.parametrize(("q", "enough"), [(0.5, 2), (0.95, 20), (0.99, 100)])
def test_too_few_values_have_no_quantile(q: float, enough: int) -> None:
    assert quantile([1.0] * (enough - 1), q) is None
    assert quantile([1.0] * enough, q) == 1.0


def test_nothing_has_no_quantile() -> None:
    assert quantile([], 0.5) is None


@given(st.lists(st.floats(0, 1e6), min_size=100, max_size=1000), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_a_quantile_is_an_observed_value_as_numpy_defines_it(values: list[float], q: float) -> None:
    assert quantile(values, q) == np.quantile(values, q, method="inverted_cdf")
    assert quantile(values, q) in values
