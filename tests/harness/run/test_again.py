from dataclasses import replace

import pytest

from harness.experiment.load import load
from harness.judge.verdict import neighbours
from harness.records.outcome import ArmSummary, CheckResult, Outcome
from harness.run.again import spoiled
from harness.run.pipeline import known

SPEC = load("busy-routing", known())
QUIET = ArmSummary(
    control=False,
    requests=600,
    errors=0,
    p99_ms=1000.0,
    lateness_p99_ms=3.0,
    cpu_utilisation=0.5,
    others_share=0.1,
)
LATE = replace(QUIET, lateness_p99_ms=400.0)
SHARED = replace(QUIET, others_share=0.5)
LATE_SAID = "the load sent late: 400 ms at p99 (limit 20)"


def check(verdict: Outcome, message: str) -> CheckResult:
    return CheckResult(
        id="p99-over-optimum",
        arm="busy-aware",
        control=False,
        verdict=verdict,
        observed=None,
        limit=1.05,
        unit="1",
        message=message,
    )


@pytest.mark.parametrize(
    ("summary", "said"), [(LATE, LATE_SAID), (SHARED, neighbours("busy-aware", SHARED)), (QUIET, None)]
)
def test_what_got_in_the_way_of_a_verdict_is_said(summary: ArmSummary, said: str | None) -> None:
    undecided = check(Outcome.UNKNOWN, f"not counted: in busy-aware {said}; leave the machine to the run")
    assert spoiled(SPEC, "busy-aware", summary, [undecided]) == said


def test_an_arm_whose_checks_all_have_their_verdict_is_left_as_it_is() -> None:
    assert spoiled(SPEC, "busy-aware", LATE, [check(Outcome.PASS, "1.00")]) is None


def test_what_is_unknown_for_another_reason_is_no_better_the_next_time() -> None:
    assert spoiled(SPEC, "busy-aware", LATE, [check(Outcome.UNKNOWN, "too few samples")]) is None


def test_a_machine_that_the_run_itself_filled_would_be_as_full_again() -> None:
    full = replace(LATE, cpu_utilisation=0.97)
    assert spoiled(SPEC, "busy-aware", full, [check(Outcome.UNKNOWN, f"in busy-aware {LATE_SAID}")]) is None


def test_an_arm_that_another_is_compared_with_counts_for_that_one() -> None:
    cold = load("cold-start", known())
    compared = next(each.versus for each in cold.checks if each.versus)
    assert spoiled(cold, compared, LATE, []) == LATE_SAID
