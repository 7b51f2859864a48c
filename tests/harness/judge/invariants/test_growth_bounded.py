"""Growth per 10,000 requests: its line, its interval, and when a load was too short to bound it."""

import math
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness import contract
from tests.harness.histories import Arm
from tests.harness.judge.cases import judged

LOAD_S = 600
MEMORY = contract.HELD[0]
LEVEL = 100e6


def soaked(
    held: Callable[[float], float],
    *,
    requests: int = 3000,
    what: str = MEMORY,
    noise: float = 0.0,
    containers: int = 1,
) -> Arm:
    """A load of ten minutes; `held` gives what is held after a share of it."""
    arm = Arm(containers=containers)
    for number in range(requests):
        due_s = LOAD_S * number / requests
        arm.request(due_s=due_s, end_s=due_s + 0.01, calls=[], without=("ingress",))
    draw = random.Random(3)
    for second in range(LOAD_S):
        value = held(second / LOAD_S) + draw.gauss(0, noise)
        arm.sample(what, value, float(second), "agent-1")
    return arm


def test_where_nobody_looked_nothing_is_known() -> None:
    assert judged("growth-bounded", Arm()).holds is None


def test_what_stays_as_it_is_holds() -> None:
    finding = judged("growth-bounded", soaked(lambda _: LEVEL, noise=1e6))
    assert finding.holds
    assert finding.cases == 3000


def test_a_leak_of_fifty_kilobytes_a_request_is_found_with_its_growth() -> None:
    finding = judged("growth-bounded", soaked(lambda share: LEVEL + share * 3000 * 50_000, noise=1e6))
    assert finding.holds is False
    # 500 MB per 10,000 requests, of the 135 MB that are held a little after the first fifth
    assert finding.observed == pytest.approx(500 / 135, rel=0.1)
    assert "memory of agent-1" in finding.message


@pytest.mark.parametrize(
    ("what", "held"),
    [
        ("a library that is loaded late", lambda share: LEVEL * (1 + 0.1 * (share > 0.55))),
        ("one that is loaded later still", lambda share: LEVEL * (1 + 0.3 * (share > 0.8))),
        ("a pool that fills for half of the load", lambda share: LEVEL * (1.3 - 0.3 * math.exp(-3 * share))),
    ],
)
def test_what_grows_once_or_levels_off_is_unknown_and_no_growth_with_each_request(
    what: str, held: Callable[[float], float]
) -> None:
    finding = judged("growth-bounded", soaked(held, noise=2e5))
    assert finding.holds is None, what
    assert "can't be bounded" in finding.message


def test_what_grew_by_a_step_is_told() -> None:
    finding = judged("growth-bounded", soaked(lambda share: LEVEL * (1 + 0.1 * (share > 0.55)), noise=2e5))
    assert "by a step, or levels off" in finding.message


def test_what_begins_to_grow_late_is_never_green() -> None:
    """Its line over the whole load is below the limit, that of the later half above it."""
    finding = judged(
        "growth-bounded", soaked(lambda share: LEVEL * (1 + 0.07 * max(0.0, share - 0.6)), noise=1e5)
    )
    assert finding.holds is None


def test_what_fills_in_the_first_fifth_is_no_growth() -> None:
    assert judged("growth-bounded", soaked(lambda share: LEVEL * min(1.0, 0.5 + 3 * share), noise=1e6)).holds


def test_noise_that_hides_the_growth_makes_it_unknown_and_never_green() -> None:
    finding = judged("growth-bounded", soaked(lambda _: LEVEL, noise=60e6))
    assert finding.holds is None
    assert "can't be bounded" in finding.message


def test_a_short_load_bounds_nothing() -> None:
    assert judged("growth-bounded", soaked(lambda _: LEVEL, requests=600, noise=1e6)).holds is None


def test_one_file_more_of_three_is_no_growth_but_one_for_each_hundred_requests_is() -> None:
    files = contract.HELD[1]
    assert judged("growth-bounded", soaked(lambda share: 3 + (share > 0.6), what=files)).holds
    assert judged("growth-bounded", soaked(lambda share: 20 + 30 * share, what=files)).holds is False


def test_the_store_may_grow_with_what_it_is_given() -> None:
    arm = soaked(lambda _: LEVEL, noise=1e6)
    for second in range(LOAD_S):
        arm.sample("agentrig.store.size", 1e4 * second, float(second), "store")
    finding = judged("growth-bounded", arm)
    assert finding.holds
    assert "the store grows by 2,000 bytes a request" in finding.message


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_looks_that_found_no_number_bound_nothing(value: float) -> None:
    finding = judged("growth-bounded", soaked(lambda share: LEVEL if share < 0.5 else value))
    assert finding.holds is None


def test_what_nobody_looked_at_is_not_green() -> None:
    arm = soaked(lambda _: LEVEL, noise=1e6, containers=2)
    arm.rows = [replace(row, upstream="127.0.0.1:9002") if row.index % 2 else row for row in arm.rows]
    arm.spans = [
        replace(span, instance="agent-2") if span.of_agent and int(span.trace_id, 16) % 2 == 0 else span
        for span in arm.spans
    ]
    finding = judged("growth-bounded", arm)
    assert finding.holds is None
    assert "memory of agent-2 was hardly looked at" in finding.message


def test_a_figure_that_nobody_can_read_any_more_is_not_green() -> None:
    """`/metrics` of a container that has grown so long that no answer of it comes in time."""
    arm = soaked(lambda _: LEVEL, noise=1e6)
    for second in range(LOAD_S // 2):
        arm.sample("agentrig.series", 900.0, float(second), "agent-1")
    finding = judged("growth-bounded", arm)
    assert finding.holds is None
    assert "lines of /metrics of agent-1 was hardly looked at" in finding.message


def test_a_look_that_fails_now_and_then_does_no_harm() -> None:
    arm = soaked(lambda _: LEVEL, noise=1e6)
    for second in range(LOAD_S):
        if second % 7 and not 300 < second < 360:
            arm.sample("agentrig.series", 900.0, float(second), "agent-1")
    assert judged("growth-bounded", arm).holds
