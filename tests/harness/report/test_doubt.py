from dataclasses import replace

import pytest

from harness.records.outcome import ArmSeries, ArmSummary
from harness.report import words
from harness.report.doubt import OF_SOME, OF_SUCCESSES, doubt, wilson

ARM = ArmSummary(control=False, requests=1000, errors=10, p99_ms=990.0, cold_p99_ms=30.0)
DRAWN = ArmSeries(
    latencies_s=tuple(n / 1000 for n in range(1, 1001)), samples={"cold_p99_ms": (0.01, 0.02, 0.03)}
)


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [(0.0, 10, 0.0, 0.2775), (0.5, 10, 0.2366, 0.7634), (1.0, 10, 0.7225, 1.0), (0.01, 1000, 0.0054, 0.0183)],
)
def test_wilson_s_interval_is_that_of_the_tables(share: float, n: int, low: float, high: float) -> None:
    assert wilson(share, n) == pytest.approx((low, high), abs=1e-4)


def test_a_quantile_has_the_values_whose_ranks_enclose_it() -> None:
    assert doubt(words.P99, ARM, DRAWN) == "983 to 998, n = 1,000"


def test_the_ratio_to_the_optimum_takes_the_optimum_as_given() -> None:
    arm = replace(ARM, optimum_p99_ms=495.0, p99_over_optimum=2.0)
    assert doubt(words.OVER_OPTIMUM, arm, DRAWN) == "1.99 to 2.02, n = 1,000"


def test_too_few_for_a_quantile_are_called_the_slowest() -> None:
    assert doubt(words.COLD_P99, ARM, DRAWN) == "the slowest, n = 3"


def test_a_share_says_of_how_many() -> None:
    assert doubt(words.ERRORS, ARM, DRAWN) == "0.5 % to 1.8 %, n = 1,000"
    arm = replace(ARM, herd_share=0.5)
    assert doubt(words.HERD, arm, replace(DRAWN, shares_of={"herd_share": 4})) == "15 % to 85 %, n = 4"


def test_what_is_exact_or_not_there_has_no_doubt() -> None:
    for figure in (words.REQUESTS, words.GOODPUT, words.P50, words.IDLE, words.OVER_OPTIMUM):
        assert doubt(figure, ARM, DRAWN) == ""
    empty = ArmSummary(control=False, requests=0, errors=0)
    assert [doubt(figure, empty, ArmSeries()) for figure in words.ARM_FIGURES] == [""] * len(
        words.ARM_FIGURES
    )


def test_every_quantile_of_the_table_has_its_sample() -> None:
    quantiles = {figure for figure in words.ARM_FIGURES if figure.label.startswith(("p50", "p9"))}
    assert quantiles == {*OF_SOME, *OF_SUCCESSES, words.OPTIMUM_P99, words.OVER_OPTIMUM}
