from dataclasses import replace

import pytest

from harness.analysis.summary import summarise
from harness.experiment.load import load
from harness.judge.invariants import REGISTRY
from harness.judge.verdict import neighbours
from harness.records.outcome import ArmSummary, CheckResult, Outcome
from harness.records.spec import ArmSpec, CheckSpec, ExperimentSpec
from harness.run.again import spoiled
from harness.run.pipeline import known, told_so_far
from tests.harness.histories import Arm

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


def test_what_fell_short_is_not_run_again_until_it_holds() -> None:
    late = check(Outcome.UNKNOWN, f"not counted: in busy-aware {LATE_SAID}")
    assert spoiled(SPEC, "busy-aware", LATE, [late]) == LATE_SAID
    assert spoiled(SPEC, "busy-aware", LATE, [late, check(Outcome.FAIL, "1 of 600 answers")]) is None


def test_an_arm_that_another_is_compared_with_by_no_times_is_left_as_it_is() -> None:
    cold = load("cold-start", known())
    compared = next(each for each in cold.checks if each.versus)
    assert compared.versus is not None
    counted = {**REGISTRY, compared.id: replace(REGISTRY[compared.id], timing=False, instants=False)}
    assert spoiled(cold, compared.versus, LATE, [], counted) is None


def test_a_check_that_compares_is_judged_as_soon_as_both_arms_have_run() -> None:
    """Who ran first is known when the second is judged: that others kept the machine busy then counts."""
    spec = ExperimentSpec(
        name="two",
        title="Two",
        claim="one is faster",
        min_requests=10,
        arms={"fast": ArmSpec(title="fast"), "slow": ArmSpec(title="slow", control=True)},
        checks=(
            CheckSpec(id="p99-ratio", limit=0.5, holds_in=("fast",), versus="slow"),
            CheckSpec(id="p99-ratio", limit=1.5, caught_in=("slow",), versus="fast"),
        ),
    )
    arms = {"fast": arm_that_takes(0.1), "slow": arm_that_takes(1.0)}
    arms["slow"].set(others_cores=1.0, cores=2)
    histories = {name: arm.history() for name, arm in arms.items()}
    summaries = {name: summarise(history) for name, history in histories.items()}
    said = neighbours("slow", summaries["slow"])
    assert said is not None

    alone = {"fast": histories["fast"]}
    assert told_so_far(spec, "fast", alone, {"fast": summaries["fast"]}) == ((), None)
    told, why = told_so_far(spec, "slow", histories, summaries)
    assert (told, why) == ((), said)

    arms["slow"].set(others_cores=0.1)
    histories["slow"] = arms["slow"].history()
    summaries["slow"] = summarise(histories["slow"])
    (caught,), why = told_so_far(spec, "slow", histories, summaries)
    assert (caught.arm, caught.verdict, why) == ("slow", Outcome.PASS, None)


def arm_that_takes(seconds: float) -> Arm:
    arm = Arm(containers=1, limit=100)
    for number in range(120):
        arm.request(due_s=number * 1.0, end_s=number + seconds)
    return arm
