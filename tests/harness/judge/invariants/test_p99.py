from dataclasses import replace

import pytest

from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def arm_of(latency_s: float, requests: int = 100) -> Arm:
    arm = Arm()
    for number in range(requests):
        arm.request(due_s=number * 10.0, end_s=number * 10 + latency_s)
    return arm


def test_the_ratio_of_two_p99s_is_held_against_the_limit() -> None:
    finding = find("p99-ratio", arm_of(0.4), versus=arm_of(0.5), limit=0.9)
    assert finding.holds
    assert finding.observed == pytest.approx(0.8)


def test_a_tail_that_is_not_shorter_by_as_much_is_found_with_the_slowest() -> None:
    arm = arm_of(0.5)
    slowest = arm.request(due_s=2000.0, end_s=2005.0)
    finding = find("p99-ratio", arm, versus=arm_of(0.5), limit=0.9)
    assert finding.holds is False
    assert finding.traces[0] == slowest


@pytest.mark.parametrize(("mine", "other"), [(99, 100), (100, 99)])
def test_too_few_successes_in_either_arm_tell_nothing(mine: int, other: int) -> None:
    assert find("p99-ratio", arm_of(0.1, mine), versus=arm_of(0.1, other)).holds is None


def test_requests_taken_at_once_are_at_the_optimum() -> None:
    finding = find("p99-over-optimum", arm_of(0.3))
    assert finding.holds
    assert finding.observed == pytest.approx(1.0, abs=1e-4)


def test_requests_that_wait_while_a_container_is_free_are_above_the_optimum() -> None:
    arm = Arm(containers=2)
    for pair in range(100):
        due_s = pair * 10.0
        arm.request(due_s=due_s, end_s=due_s + 1.0, container=1)
        arm.request(due_s=due_s, begin_s=due_s, wait_s=1.0, end_s=due_s + 2.0, container=1)
    finding = find("p99-over-optimum", arm)
    assert finding.holds is False
    assert finding.observed == pytest.approx(2.0, abs=1e-3)
    assert finding.traces[0] in {row.trace_id for row in arm.rows[1::2]}
    assert "p99 2000 ms, central queue 1000 ms" in finding.message


def test_without_spans_there_is_no_optimum() -> None:
    arm = Arm()
    for number in range(100):
        arm.request(due_s=number * 1.0, without=["agent"])
    assert find("p99-over-optimum", arm).holds is None


def test_after_the_burst_the_p95_is_held_against_the_other_arms() -> None:
    finding = find("steady-p95-ratio", arm_of(0.1), versus=arm_of(0.2), limit=0.8)
    assert finding.holds
    assert finding.observed == pytest.approx(0.5, abs=1e-4)


def test_a_p95_after_the_burst_that_is_not_lower_is_found_with_the_slowest() -> None:
    arm = arm_of(0.2)
    slowest = arm.request(due_s=2000.0, end_s=2005.0)
    finding = find("steady-p95-ratio", arm, versus=arm_of(0.2), limit=0.8)
    assert finding.holds is False
    assert finding.traces[0] == slowest


def test_too_few_requests_after_the_burst_tell_nothing() -> None:
    assert find("steady-p95-ratio", arm_of(0.1, 19), versus=arm_of(0.2)).holds is None


def test_a_p99_within_the_promise_holds_and_one_above_is_found_with_the_slowest() -> None:
    arm = arm_of(0.3)
    assert find("p99", arm, limit=400).holds
    slow = [arm.request(due_s=2000.0 + number * 10, end_s=2001.0 + number * 10) for number in range(3)]
    finding = find("p99", arm, limit=400)
    assert finding.holds is False
    assert set(finding.traces) == set(slow)


def test_too_few_successes_have_no_p99() -> None:
    assert find("p99", arm_of(0.1, 99)).holds is None


def first_words(arm: Arm, after_s: float) -> Arm:
    arm.rows = [replace(row, first_token_s=row.due_s + after_s) for row in arm.rows]
    return arm


def test_first_words_within_the_promise_hold_and_late_ones_are_found() -> None:
    assert find("ttft", first_words(arm_of(0.9), 0.3), limit=400).holds
    arm = first_words(arm_of(0.9), 0.3)
    slow = [arm.request(due_s=2000.0 + number * 10, end_s=2002.0 + number * 10) for number in range(3)]
    arm.rows[-3:] = [replace(row, first_token_s=row.due_s + 1.5) for row in arm.rows[-3:]]
    finding = find("ttft", arm, limit=400)
    assert finding.holds is False
    assert set(finding.traces) == set(slow)


def test_rows_of_an_older_run_tell_nothing_of_the_first_words() -> None:
    finding = find("ttft", arm_of(0.1), limit=400)
    assert finding.holds is None
    assert "no row tells" in finding.message
