import dataclasses
import math
from typing import Any

import pytest

from harness.errors import ExitCode
from harness.load.kit.limits import LoadLimits, exit_code, judge, worst
from harness.load.kit.tally import Others, Tally
from harness.load.kit.throttling import ModelCalls, Throttling
from harness.load.open_loop import ArrivalCounts
from harness.simulator_config import FaultRule, Quota
from tests.harness.load.rows import row

HELD, FELL_SHORT, UNKNOWN = ExitCode.HELD, ExitCode.FELL_SHORT, ExitCode.UNKNOWN


def tally(successes: int, errors: int = 0, dropped: int = 0) -> Tally:
    it = Tally()
    for number in range(successes):
        it.add(row(number, 0.1))
    for number in range(errors):
        it.add(row(number, 0.1, status=500, error="e", error_type="Boom"))
    done = successes + errors
    it.counts = ArrivalCounts(due=done + dropped, sent=done, dropped=dropped)
    return it


def code(limits: LoadLimits, it: Tally, **seen: Any) -> ExitCode:
    return exit_code(judge(limits, it, **seen))


def texts(code: ExitCode, limits: LoadLimits, it: Tally, **seen: Any) -> str:
    return "; ".join(f.text for f in judge(limits, it, **seen) if f.code is code)


@pytest.mark.parametrize(
    ("limits", "it", "expected"),
    [
        (LoadLimits(), tally(1), HELD),
        (LoadLimits(), tally(0), UNKNOWN),
        (LoadLimits(min_requests=50), tally(49), UNKNOWN),
        (LoadLimits(min_requests=50), tally(50), HELD),
        (LoadLimits(p99_ms=200), tally(298), UNKNOWN),
        (LoadLimits(p99_ms=200), tally(299), HELD),
        (LoadLimits(p99_ms=200, min_requests=10), tally(298), UNKNOWN),
        (LoadLimits(p99_ms=50), tally(299), FELL_SHORT),
        (LoadLimits(p99_ms=50), tally(298), UNKNOWN),
        (LoadLimits(p99_ms=200), tally(0, errors=300), FELL_SHORT),
        (LoadLimits(max_error_ratio=0.1), tally(90, errors=10), HELD),
        (LoadLimits(max_error_ratio=0.1), tally(89, errors=11), FELL_SHORT),
        (LoadLimits(), tally(500, dropped=1), UNKNOWN),
        (LoadLimits(), tally(0, dropped=500), UNKNOWN),
        (LoadLimits(p99_ms=200, max_error_ratio=0.999), tally(1, errors=499), HELD),
    ],
)
def test_a_test_holds_only_on_proof(limits: LoadLimits, it: Tally, expected: ExitCode) -> None:
    assert code(limits, it) is expected


def test_a_test_in_which_no_call_succeeded_is_never_green() -> None:
    nothing = [f for f in judge(LoadLimits(max_error_ratio=0.999), tally(0, errors=500)) if f.code is UNKNOWN]
    assert ["no call succeeded" in f.text for f in nothing] == [True]


@pytest.mark.parametrize(("late", "expected"), [(100, HELD), (101, UNKNOWN), (354, UNKNOWN)])
def test_a_load_that_was_late_itself_is_never_green(late: int, expected: ExitCode) -> None:
    it = tally(500)
    it.counts.late = late
    assert code(LoadLimits(), it) is expected
    assert code(LoadLimits(max_late_ratio=1.0), it) is HELD
    assert (f"{late} of 500 calls were sent more than 5 ms late" in texts(UNKNOWN, LoadLimits(), it)) == (
        expected is UNKNOWN
    )


def test_a_limit_that_only_the_calls_of_a_scenario_can_meet_is_unknown_without_one() -> None:
    it = Tally(others=Others(ended=500))
    limits = LoadLimits(p99_ms=100.0, max_amplification=2.0)
    assert code(limits, it, scenarios=False) is UNKNOWN
    assert "--p99-ms holds for the calls of an OpenUser" in texts(UNKNOWN, limits, it, scenarios=False)
    assert code(LoadLimits(), it, scenarios=False) is HELD


@pytest.mark.parametrize(
    ("counts", "says"),
    [
        (ArrivalCounts(due=501, sent=501), "501 calls were sent and 500 ended"),
        (ArrivalCounts(due=501, sent=501, in_flight=1), "501 calls were sent and 500 ended"),
        (ArrivalCounts(due=501, sent=500), "501 calls were due, 500 were sent and 0 dropped"),
    ],
)
def test_a_call_of_which_nothing_is_known_makes_it_unknown(counts: ArrivalCounts, says: str) -> None:
    it = tally(500)
    it.counts = counts
    assert code(LoadLimits(), it) is UNKNOWN
    assert says in texts(UNKNOWN, LoadLimits(), it)


def test_the_p99_limit_holds_for_all_calls_those_that_timed_out_included() -> None:
    it = tally(980)
    for number in range(20):
        it.add(row(number, 60.0, status=0, error="no answer", error_type="timeout"))
    it.counts = ArrivalCounts(due=1000, sent=1000)
    limits = LoadLimits(p99_ms=8000, max_error_ratio=0.05)
    assert it.quantile_ms(99) == pytest.approx(100, rel=1e-3)
    assert code(limits, it) is FELL_SHORT
    assert "p99 60" in texts(FELL_SHORT, limits, it)


def late_tally(late_s: float, service_s: float, calls: int = 500) -> Tally:
    it = Tally(counts=ArrivalCounts(due=calls, sent=calls, late=calls))
    for number in range(calls):
        sent_s = row(number).due_s + late_s
        it.add(row(number, late_s + service_s, sent_s=sent_s))
    return it


@pytest.mark.parametrize(
    ("limit_ms", "late_s", "service_s", "expected"),
    [
        (12_000, 0.2, 0.1, HELD),
        (12_000, 5.0, 0.1, UNKNOWN),
        (12_000, 20.0, 0.1, UNKNOWN),
        (12_000, 5.0, 13.0, FELL_SHORT),
        (100, 0.019, 0.05, HELD),
        (100, 0.025, 0.05, UNKNOWN),
        (100, 0.019, 0.1, FELL_SHORT),
    ],
)
def test_a_load_that_was_late_itself_says_nothing_of_the_p99(
    limit_ms: float, late_s: float, service_s: float, expected: ExitCode
) -> None:
    limits = LoadLimits(p99_ms=limit_ms, max_late_ratio=1.0)
    assert code(limits, late_tally(late_s, service_s)) is expected


def test_one_late_call_in_a_hundred_is_no_late_load() -> None:
    it = late_tally(0.0, 0.1, calls=990)
    for number in range(9):
        it.add(row(number, 3.1, sent_s=row(number).due_s + 3.0))
    it.counts = ArrivalCounts(due=999, sent=999)
    assert code(LoadLimits(p99_ms=200), it) is HELD


NONE_SEEN = ModelCalls(
    attempts=0, calls=0, bodies=0, forgotten_after_s=None, fired=(), refused=0, disturbed=False
)


def model(attempts: int, calls: int, **more: Any) -> ModelCalls:
    """What a simulator has seen that served as many faults as show how often a call is tried again."""
    counts = {"attempts": attempts, "calls": calls, "bodies": calls, "met": 30}
    return dataclasses.replace(NONE_SEEN, **(counts | more))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (model(12, 10), HELD),
        (model(15, 10), HELD),
        (model(16, 10), FELL_SHORT),
        (model(16, 16, bodies=10), UNKNOWN),
        (model(14, 14, bodies=10), HELD),
        (model(40, 20, bodies=10), FELL_SHORT),
        (model(12, 10, forgotten_after_s=5.0), UNKNOWN),
        (model(16, 10, forgotten_after_s=5.0), FELL_SHORT),
        (model(12, 10, forgotten_after_s=90.0), HELD),
        (model(100, 100, met=0), UNKNOWN),  # nothing was served that anybody tries again for
        (model(120, 100, met=29), UNKNOWN),
        (model(200, 100, met=0), FELL_SHORT),
        (model(12, 10, disturbed=True), UNKNOWN),
        (model(0, 0), UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_amplification_is_held_against_its_limit(seen: ModelCalls | None, expected: ExitCode) -> None:
    limits = LoadLimits(max_amplification=1.5)
    assert code(limits, tally(10), model=seen, retried_within_s=60.0) is expected


@pytest.mark.parametrize(("silent", "expected"), [(0, HELD), (3, HELD), (40, UNKNOWN)])
def test_successes_without_a_first_token_are_not_those_that_came_in_time(
    silent: int, expected: ExitCode
) -> None:
    it = Tally()
    for number in range(400):
        answered = row(number, 0.1)
        token_s = None if number < silent else answered.due_s + 0.05
        it.add(dataclasses.replace(answered, first_token_s=token_s))
    it.counts = ArrivalCounts(due=400, sent=400)
    assert code(LoadLimits(ttft_ms=200), it) is expected
    assert code(LoadLimits(ttft_ms=20), it) is FELL_SHORT


FAULTS = Throttling(faults=(FaultRule(kind="overloaded"), FaultRule(kind="auth")), quota=Quota(rpm=60))
QUOTA = Throttling(quota=Quota(rpm=60))


@pytest.mark.parametrize(
    ("throttling", "seen", "expected"),
    [
        (FAULTS, model(10, 5, fired=(3, 2)), HELD),
        (FAULTS, model(10, 5, fired=(3, 0)), UNKNOWN),
        (FAULTS, model(10, 5, fired=(0, 0), refused=4), UNKNOWN),
        (FAULTS, model(0, 0, fired=(0, 0)), UNKNOWN),
        (FAULTS, model(10, 5, fired=(3, 2), disturbed=True), UNKNOWN),
        (FAULTS, None, UNKNOWN),
        (QUOTA, model(10, 5, refused=1), HELD),
        (QUOTA, model(10, 5), UNKNOWN),
        (Throttling(), model(10, 5), UNKNOWN),
        (None, None, HELD),
    ],
)
def test_a_throttling_counts_only_if_it_met_the_calls(
    throttling: Throttling | None, seen: ModelCalls | None, expected: ExitCode
) -> None:
    assert code(LoadLimits(), tally(10), throttling=throttling, model=seen) is expected


def test_a_fault_that_never_came_is_named() -> None:
    said = texts(UNKNOWN, LoadLimits(), tally(9), throttling=FAULTS, model=model(10, 5, fired=(3, 0)))
    assert said.startswith("faults that 10 model calls met: overloaded 3, auth 0: what never came")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"p99_ms": value} for value in (0, -1, math.nan, math.inf)),
        *({"max_error_ratio": value} for value in (-0.1, 1, math.nan, math.inf)),
        *({"max_amplification": value} for value in (0, -2, 0.9, math.nan, math.inf)),
        *({"min_requests": value} for value in (0, -5)),
    ],
)
def test_a_limit_that_nothing_could_exceed_or_meet_is_refused(wrong: dict[str, Any]) -> None:
    (option,) = wrong
    with pytest.raises(ValueError, match=f"--{option.replace('_', '-')} must be a number"):
        LoadLimits(**wrong)


def test_no_findings_prove_nothing() -> None:
    assert exit_code(()) is UNKNOWN


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([HELD, HELD], HELD),
        ([HELD, UNKNOWN], UNKNOWN),
        ([FELL_SHORT, UNKNOWN, HELD], FELL_SHORT),
        ([], UNKNOWN),
    ],
)
def test_the_worst_of_several_decides(codes: list[ExitCode], expected: ExitCode) -> None:
    assert worst(codes) is expected


def test_what_fell_short_says_by_how_much_and_why() -> None:
    said = texts(FELL_SHORT, LoadLimits(max_error_ratio=0.0), tally(8, errors=2))
    assert said == "error ratio 0.2000, at most 0 (Boom 2)"


def test_too_few_calls_say_what_to_do() -> None:
    (finding,) = judge(LoadLimits(), tally(0))
    assert finding.text == "0 calls ended, at least 1 needed: run longer, or send more"


def streamed(count: int, ttft_s: float, late_s: float = 0.0) -> Tally:
    it = Tally()
    for number in range(count):
        due_s = row(number).due_s
        it.add(row(number, 0.9, sent_s=due_s + late_s, first_token_s=due_s + ttft_s))
    it.counts = ArrivalCounts(due=count, sent=count)
    return it


@pytest.mark.parametrize(
    ("it", "expected"),
    [
        (streamed(299, 0.1), HELD),
        (streamed(299, 0.3), FELL_SHORT),
        (streamed(298, 0.1), UNKNOWN),
        (streamed(299, 0.3, late_s=0.2), UNKNOWN),
        (tally(299), UNKNOWN),
    ],
)
def test_the_time_to_the_first_token_may_have_a_limit(it: Tally, expected: ExitCode) -> None:
    assert code(LoadLimits(ttft_ms=200), it) is expected


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_a_limit_of_the_first_token_that_is_none_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="--ttft-ms"):
        LoadLimits(ttft_ms=value)
