"""Weather of one container: whether it harms more requests than are that container's."""

import pytest

from harness.records.setup import Window
from tests.harness.histories import Arm
from tests.harness.judge.cases import judged

CHECK = "harm-stays-local"


def weather(from_s: float, to_s: float, container: str | None = "agent-1") -> Window:
    return Window(
        kind="weather", name="descriptors (container)", from_s=from_s, to_s=to_s, container=container
    )


def struck(*, failed: int, of: int = 30, containers: int = 3, more: tuple[Window, ...] = ()) -> Arm:
    """So many requests while one container has weather, of which some fail."""
    arm = Arm(containers=containers, limit=8)
    arm.set(windows=(weather(10.0, 20.0), *more))
    for number in range(of):
        fails = number < failed
        arm.request(
            due_s=10.0 + number * 9.0 / of,
            end_s=10.1 + number * 9.0 / of,
            container=1 if fails else 2,
            status=503 if fails else 200,
            error="APIConnectionError" if fails else None,
            calls=[] if fails else [["ok"]],
        )
    return arm


def test_who_fails_no_more_than_its_share_holds() -> None:
    finding = judged(CHECK, struck(failed=10))
    assert finding.holds
    assert finding.observed == 0
    assert finding.cases == 30


def test_a_container_that_draws_the_requests_of_others_is_found() -> None:
    arm = struck(failed=25)
    finding = judged(CHECK, arm)
    assert finding.holds is False
    assert finding.observed == pytest.approx((25 / 30 - 1 / 3) / (2 / 3))
    assert set(finding.traces) <= {row.trace_id for row in arm.rows[:25]}


def test_of_two_containers_all_is_too_much() -> None:
    assert judged(CHECK, struck(failed=15, containers=2)).holds
    assert judged(CHECK, struck(failed=30, containers=2)).holds is False


def test_what_the_model_refused_is_not_the_weathers_harm() -> None:
    arm = struck(failed=0)
    for number in range(60):
        at_s = 10.0 + number / 7
        arm.request(due_s=at_s, end_s=at_s + 0.1, status=502, error="bad_request", calls=[["bad_request"]])
    assert judged(CHECK, arm).holds


@pytest.mark.parametrize(
    "other", [weather(12.0, 13.0, None), weather(6.0, 7.0, None), weather(19.0, 30.0, "agent-2")]
)
def test_where_others_had_weather_too_nothing_is_known(other: Window) -> None:
    assert judged(CHECK, struck(failed=25, more=(other,))).holds is None


@pytest.mark.parametrize(
    "arm", [struck(failed=5, of=29), struck(failed=5, containers=1), struck(failed=0, of=0), Arm()]
)
def test_few_requests_one_container_or_no_weather_tell_nothing(arm: Arm) -> None:
    assert judged(CHECK, arm).holds is None


def test_what_failed_before_it_and_after_it_is_not_looked_at() -> None:
    arm = struck(failed=5)
    for at_s in (5.0, 25.0):
        for _ in range(30):
            arm.request(due_s=at_s, end_s=at_s + 0.1, status=503, error="x", calls=[])
    finding = judged(CHECK, arm)
    assert finding.holds
    assert finding.cases == 30
