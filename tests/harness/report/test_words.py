import math
from dataclasses import replace

import pytest

from harness.records.outcome import ArmSummary, Outcome
from harness.report import words
from tests.harness.report import sample

RESULT, _ = sample.run()
FALLEN, _ = sample.fallen()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, words.NONE), (math.nan, words.NONE), (math.inf, words.NONE), (0, "0"), (0.0123, "0.0123"),
     (1.0, "1"), (60.68, "60.7"), (1397.6, "1,398"), (12_345, "12,345")],
)  # fmt: skip
def test_a_number_has_three_significant_digits_until_it_needs_none(value: float | None, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1.5, "1", "1.5"), (1, "{attempt}", "1 attempt"), (2, "{attempt}", "2 attempts"), (3, "ms", "3 ms"),
     (None, "ms", words.NONE), (7, "", "7")],
)  # fmt: skip
def test_a_quantity_says_its_unit_as_a_word(value: float | None, unit: str, text: str) -> None:
    assert words.quantity(value, unit) == text


def test_counts_that_are_the_same_are_said_once() -> None:
    assert words.counts({"openai": 2, "mcp": 2}) == "2 each"
    assert words.counts({"openai": 2, "mcp": 3}) == "2 openai, 3 mcp"
    assert words.counts({}) == words.NONE


@pytest.mark.parametrize(("value", "text"), [(8.25, "8.2 s"), (60, "1 min 0 s"), (252.4, "4 min 12 s")])
def test_a_long_duration_is_said_in_minutes(value: float, text: str) -> None:
    assert words.seconds(value) == text


@pytest.mark.parametrize(("took_s", "text"), [(3.0, "3 s"), (8.0, "not in 8 s"), (None, words.NONE)])
def test_a_recovery_that_was_not_seen_says_how_long_was_looked(took_s: float | None, text: str) -> None:
    assert words.recovery(took_s, 8.0) == text


def test_the_telling_figures_are_those_the_checks_are_about() -> None:
    told = {e.name: [figure.short for figure in words.leading_figures(e)] for e in RESULT.experiments}
    assert told == {
        "cold-start": ["inits", "conns"],
        "busy-routing": ["p99/opt", "idle"],
        "throttling": ["herd", "ampl."],
    }


def test_an_experiment_with_no_telling_check_is_told_by_its_p99() -> None:
    experiment = replace(RESULT.experiments[0], checks=())
    assert words.contrast(experiment).startswith("p99: ")


def test_figures_that_no_arm_has_are_left_out() -> None:
    bare = replace(RESULT.experiments[0], arms={"a": ArmSummary(control=False, requests=3, errors=1)})
    assert [(figure.label, texts) for figure, texts in words.figures(bare)] == [
        ("requests", ("3",)),
        ("errors", ("1",)),
    ]


def test_the_headline_never_says_held_without_a_pass() -> None:
    assert words.headline(RESULT) == "All 3 claims held"
    assert words.headline(FALLEN) == "1 of 3 claims fell short, 1 unknown"
    unknown = replace(RESULT, verdict=Outcome.UNKNOWN, experiments=FALLEN.experiments[2:])
    assert words.headline(unknown) == "1 of 1 claim unknown"
    assert words.headline(replace(RESULT, verdict=Outcome.UNKNOWN, experiments=())).startswith("Unknown")


def test_a_sentence_names_the_check_that_fell_short_and_the_leading_figure() -> None:
    sentence = words.sentence(FALLEN.experiments[1])
    assert sentence.startswith("p99-over-optimum fell short in busy-aware; p99 over optimum: ")
    assert "in blind (control)" in sentence


def test_an_unknown_without_any_check_says_so() -> None:
    empty = replace(RESULT.experiments[0], verdict=Outcome.UNKNOWN, checks=(), arms={})
    assert words.sentence(empty) == "no check could be made; no arm was run."


def test_the_same_run_can_be_asked_for_again() -> None:
    assert words.run_again(RESULT) == "agentrig run cold-start busy-routing throttling --quick"


def test_half_a_character_is_replaced_and_all_others_are_kept() -> None:
    assert words.writable("caf\u00e9 \U0001f600 \ud83d") == "caf\u00e9 \U0001f600 ?"


def test_rates_that_were_scaled_are_told_and_own_rates_are_not() -> None:
    own = RESULT.experiments[0]
    assert words.scaled(own) == ""
    assert words.scaled(replace(own, rate_scale=0.6)) == ", at 0.6 of its rates"


CHECK = RESULT.experiments[0].checks[0]


@pytest.mark.parametrize(
    ("cases", "needed", "text"),
    [(None, 30, words.NONE), (3, 10, "3 of 10 needed"), (10, 10, "10"), (1240, 30, "1,240"), (7, None, "7")],
)
def test_tested_cases_say_what_they_lack(cases: int | None, needed: int | None, text: str) -> None:
    assert words.tested(replace(CHECK, cases=cases, cases_needed=needed)) == text


def test_what_a_check_rests_on_is_said_once() -> None:
    assert words.rests_on(CHECK) == " (1,240 tested cases)"
    assert words.rests_on(replace(CHECK, cases=None)) == ""
    assert words.rests_on(replace(CHECK, cases=3, cases_needed=10)) == "", "its message begins with it"


def test_checks_of_controls_are_counted_apart() -> None:
    control = replace(CHECK, arm="broken", control=True)
    short = replace(CHECK, verdict=Outcome.FAIL)
    unseen = replace(CHECK, verdict=Outcome.NOT_MADE)
    assert words.tally([CHECK, short, control, unseen]) == (
        "1 of 2 checks held, 1 of 1 in controls, 1 not made"
    )
    assert words.tally([CHECK]) == "1 of 1 checks held"


def test_a_claim_of_which_only_the_controls_were_caught_says_that_nothing_was_found_of_its_arm() -> None:
    checks = (replace(CHECK, verdict=Outcome.NOT_MADE), replace(CHECK, arm="broken", control=True))
    silent = replace(RESULT.experiments[0], verdict=Outcome.UNKNOWN, checks=checks)
    assert words.sentence(silent).startswith(
        "no check could be made in cached; that controls are caught says nothing of it; "
    )
