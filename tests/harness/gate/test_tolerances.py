"""Tolerances of one's own."""

import math

import pytest

from harness.errors import InputError
from harness.gate.decide import GateVerdict, decide
from harness.gate.statistics import Tolerance
from harness.gate.tolerances import KNOWN, id_of, parse_tolerances, usual, with_tolerances
from tests.harness.gate.test_decide import blocks


def test_they_are_read_by_figure() -> None:
    read = parse_tolerances(["p99=1.10:1.30", "cpu-per-request=1.02:1.1", "session-p99=1.5"])
    assert read == {
        "p99": Tolerance(fine=1.10, bad=1.30, gross=1.6),
        "cpu-per-request": Tolerance(fine=1.02, bad=1.1, gross=1.6),
        "session-p99": Tolerance(fine=1.5, bad=math.inf, gross=4.0),
    }


def test_what_is_bad_may_be_beyond_what_was_beyond_doubt() -> None:
    assert parse_tolerances(["p99=2:3"])["p99"].gross == 3.0


def test_the_others_stay_as_they_are() -> None:
    changed = [
        each for each in with_tolerances(parse_tolerances(["p50=1.2:1.4"])) if each.tolerance != usual(each)
    ]
    assert [each.name for each in changed] == ["p50"]
    assert len({id_of(each) for each in KNOWN}) == len(KNOWN)


@pytest.mark.parametrize("word", ["p99", "p99=", "p99=1.3:1.1", "p99=a:b", "p99=1.1:1.2:1.3", "p99=nan:nan"])
def test_what_is_no_tolerance_is_told(word: str) -> None:
    with pytest.raises(InputError, match="give two ratios"):
        parse_tolerances([word])


def test_a_figure_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match=r"'p98' is no figure of the gate. These are: p99, p50"):
        parse_tolerances(["p98=1.1:1.2"])


def test_they_decide() -> None:
    slower = blocks(16, head=1.15)
    assert decide(slower).verdict is GateVerdict.FAIL
    assert decide(slower, tolerances=parse_tolerances(["p99=1.2:1.5"])).verdict is GateVerdict.PASS
