import itertools

import pytest

from harness.load.kit.limits import LoadLimits
from harness.load.kit.node import BeginMessage, DriverScenario, plan_of
from harness.load.kit.profiles import Constant
from harness.load.kit.shares import Share
from tests.harness.load.kit.test_leader import settings

STEADY = DriverScenario(name="Steady", host="http://h", profile=Constant(10.0), turns=1)


def test_a_plan_with_an_end_has_what_is_due_before_it_and_nothing_that_is_due_at_it() -> None:
    plan = list(plan_of(STEADY, settings(LoadLimits()), 4.0))
    assert len(plan) == 40
    assert plan == list(itertools.islice(plan_of(STEADY, settings(LoadLimits()), None), 40))


def test_the_shares_of_a_plan_with_an_end_are_all_of_it() -> None:
    plan = list(plan_of(STEADY, settings(LoadLimits()), 4.0))
    taken = [arrival for first in range(3) for arrival in Share(first, 3).take(plan)]
    assert sorted(arrival.index for arrival in taken) == list(range(40))


@pytest.mark.parametrize("length_s", [4.0, None])
def test_orders_arrive_as_they_were_sent(length_s: float | None) -> None:
    message = BeginMessage(
        run_id="r", start_s=50.0, length_s=length_s, shares={"Steady": (Share(0, 2), Share(1, 2))}
    )
    assert BeginMessage.from_wire(message.to_wire()) == message
