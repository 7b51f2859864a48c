"""A block, boiled down."""

import pytest

from harness.gate.blocks import ATTEMPTS, CPU, P50, P99, RSS, Block, Side, Spent, boil_down
from tests.harness.histories import Arm

SPENT = Spent(wall_s=10.0, cores=2, all_cpu_s=10.0, agents_cpu_s=4.0, agents_rss_mb=200.0)


def block_of(arm: Arm) -> Block:
    return boil_down(
        arm.rows, arm.journal, SPENT, scenario="steady", pair=1, side=Side.HEAD, first=True, start_s=0.0
    )


def arm_of(requests: int) -> Arm:
    arm = Arm()
    for number in range(requests):
        arm.request(due_s=number * 1.0, end_s=number + 0.001 * (number + 1))
    return arm


def test_its_figures_are_those_of_the_successes() -> None:
    block = block_of(arm_of(400))
    assert block.figures[P50.name] == pytest.approx(200.0, abs=0.01)
    assert block.figures[P99.name] == pytest.approx(396.0, abs=0.01)
    assert block.figures[CPU.name] == pytest.approx(10.0)
    assert block.figures[RSS.name] == 200.0
    assert block.figures[ATTEMPTS.name] == 1.0
    assert block.cpu_utilisation == 0.5
    assert block.slowest[0] == arm_of(400).rows[-1].trace_id


def test_too_few_successes_give_no_p99() -> None:
    assert P99.name not in block_of(arm_of(298)).figures
    assert P99.name in block_of(arm_of(299)).figures


def test_a_fast_failure_is_an_error_and_no_latency() -> None:
    arm = arm_of(300)
    for _ in range(100):
        arm.request(due_s=400.0, end_s=400.0001, status=500, error="broken")
    block = block_of(arm)
    assert (block.requests, block.errors, block.successes) == (400, 100, 300)
    assert block.figures[P99.name] > 290


def test_what_the_model_refused_for_good_is_nobodys_error() -> None:
    arm = arm_of(300)
    arm.request(calls=[["auth"]], status=502, error="auth")
    assert block_of(arm).errors == 0


def test_retries_show() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "ok"]])
    arm.request()
    assert block_of(arm).figures[ATTEMPTS.name] == 1.5


def test_an_empty_block_has_no_figures_of_requests() -> None:
    block = block_of(Arm())
    assert set(block.figures) == {RSS.name}
    assert block.requests == 0
