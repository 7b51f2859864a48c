import pytest

from harness.judge.fullness import fullness, had_a_choice, met_a_full_one, met_a_full_one_from_outside
from tests.harness.histories import BEGIN_S, Arm, Try

ONLY_OUTSIDE = ("POST /invocations", "invoke_agent")


def one_of_two() -> Arm:
    """Two containers of one slot, the first of which works from 1 s to 2 s."""
    arm = Arm(containers=2)
    arm.request(due_s=1.0, end_s=2.0, container=1)
    arm.set(end_s=10.0)
    return arm


@pytest.mark.parametrize(
    ("from_s", "to_s", "full"),
    [(0.0, 0.9, False), (0.0, 1.1, True), (1.2, 1.3, True), (1.9, 5.0, True), (2.1, 5.0, False)],
)
def test_a_container_is_full_while_it_works_on_as_many_as_its_limit(
    from_s: float, to_s: float, *, full: bool
) -> None:
    seen = fullness(one_of_two().history())
    assert seen.one_full(BEGIN_S + from_s, BEGIN_S + to_s) is full
    assert seen.all_full(BEGIN_S + from_s, BEGIN_S + to_s) is False


def test_below_its_limit_it_is_not() -> None:
    arm = Arm(containers=1, limit=2)
    arm.request(due_s=1.0, end_s=2.0)
    assert fullness(arm.history()).one_full(BEGIN_S, BEGIN_S + 10) is False


def test_all_are_full_when_each_is() -> None:
    arm = one_of_two()
    arm.request(due_s=1.5, end_s=3.0, container=2)
    seen = fullness(arm.history())
    assert seen.all_full(BEGIN_S + 1.6, BEGIN_S + 1.7)
    assert not seen.all_full(BEGIN_S + 2.1, BEGIN_S + 9.0)
    assert seen.uneven(BEGIN_S + 2.5)
    assert not seen.uneven(BEGIN_S + 1.7)


@pytest.mark.parametrize(("moved", "uneven"), [({"joined_s": 1.4}, False), ({"left_s": 1.4}, True)])
def test_only_those_in_the_balancers_list_count(moved: dict[str, float], *, uneven: bool) -> None:
    arm = one_of_two()
    arm.moved(2, **moved)
    assert fullness(arm.history()).uneven(BEGIN_S + 1.2) is uneven


def test_without_a_span_the_callers_tell() -> None:
    arm = Arm(containers=1)
    arm.request(due_s=1.0, end_s=2.0, without=ONLY_OUTSIDE)
    seen = fullness(arm.history())
    assert seen.one_full(BEGIN_S + 1.2, BEGIN_S + 1.3)
    assert not seen.one_full(BEGIN_S + 2.1, BEGIN_S + 2.2)


def test_from_outside_the_open_model_calls_tell() -> None:
    arm = Arm(containers=1)
    arm.request(due_s=1.0, end_s=3.0, calls=[[Try(at_s=1.1, lasted_s=0.8)]], without=ONLY_OUTSIDE)
    calls = [[Try(at_s=3.1)]]
    for due_s in (1.5, 2.5):
        arm.request(due_s=due_s, end_s=3.2 if due_s < 2 else 2.6, calls=calls, without=ONLY_OUTSIDE)
    assert met_a_full_one_from_outside(arm.history()) == 1


def test_who_fills_the_last_slot_found_it_free() -> None:
    history = one_of_two().history()
    assert met_a_full_one(history) == met_a_full_one_from_outside(history) == had_a_choice(history) == 0


def test_who_came_or_waited_meanwhile_met_a_full_one() -> None:
    arm = one_of_two()
    arm.request(due_s=1.5, end_s=1.6, container=2)  # came: and had a choice
    arm.request(due_s=0.5, begin_s=2.0, end_s=2.2, container=1)  # waited
    arm.request(due_s=5.0, end_s=5.2, container=1)
    assert met_a_full_one(arm.history()) == 2
    assert had_a_choice(arm.history()) == 1
