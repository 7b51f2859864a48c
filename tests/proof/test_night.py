"""What a night's rounds prove together: a turn that is wrong counts, whatever else of its round is known."""

from dataclasses import replace

from tests.proof.night import CHECKS, Round, enough, told

ROUND = Round(
    seed=1,
    kills=20,
    failovers=4,
    answers=400,
    failed=3,
    wrong=dict.fromkeys(CHECKS, 0.0),
    cases=dict.fromkeys(CHECKS, 300),
)


def test_rounds_without_a_fault_bound_its_share() -> None:
    said = told([ROUND, replace(ROUND, seed=2)])
    assert "2 rounds: 40 kills, 8 failovers" in said
    assert "turns-kept: 0 of 600 wrong, so at most 0.50% with 95 %" in said


def test_a_round_of_which_something_is_not_known_counts_for_nothing_good() -> None:
    late = replace(ROUND, seed=2, wrong={**ROUND.wrong, "no-leak": None})
    assert "1 rounds: 20 kills" in told([ROUND, late])
    assert not enough([ROUND, late], kills=40, failovers=8)
    assert enough([ROUND, ROUND], kills=40, failovers=8)


def test_what_is_known_to_be_wrong_in_such_a_round_is_told() -> None:
    late = replace(ROUND, seed=2, wrong={**ROUND.wrong, "turns-kept": 2.0, "no-leak": None})
    (kept,) = (line for line in told([ROUND, late]).splitlines() if "turns-kept" in line)
    assert "2 of 300 wrong" in kept
    assert "at most" not in kept
