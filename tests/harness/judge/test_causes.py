from dataclasses import replace

import pytest

from harness.judge.causes import unexplained
from harness.records.setup import FleetEvent
from tests.harness.histories import BEGIN_S, Arm
from tests.harness.judge.cases import find


def named(arm: Arm) -> list[str]:
    return [request.row.trace_id for request in unexplained(arm.history())]


def test_a_failure_without_any_fault_is_unexplained() -> None:
    arm = Arm()
    arm.request()
    failed = arm.request(status=500, error="failed", calls=[])
    assert named(arm) == [failed]


@pytest.mark.parametrize("calls", [["overloaded"] * 3, ["auth"], ["eof_clean"], ["conn_reset"]])
def test_a_call_that_was_never_answered_explains_it(calls: list[str]) -> None:
    arm = Arm()
    arm.request(status=502, error="failed", calls=[["ok"], calls])
    assert named(arm) == []


def test_a_fault_that_was_outlived_does_not() -> None:
    arm = Arm()
    failed = arm.request(status=502, error="failed", calls=[["overloaded", "ok"]])
    assert named(arm) == [failed]


@pytest.mark.parametrize("source", ["auth", "request"])
def test_a_key_or_a_body_that_is_wrong_is_the_agents_own_fault(source: str) -> None:
    arm = Arm()
    failed = arm.request(status=502, error="failed", calls=[["auth"]])
    arm.journal[-1] = replace(arm.journal[-1], source=source)
    assert named(arm) == [failed]


def kill(arm: Arm, at_s: float, container: int = 1) -> None:
    arm.set(events=(FleetEvent(time_s=BEGIN_S + at_s, action="kill", container=f"agent-{container}"),))


@pytest.mark.parametrize(
    ("at_s", "container", "explained"), [(1.5, 1, True), (1.5, 2, False), (2.5, 1, False), (0.5, 1, True)]
)
def test_a_container_that_was_killed_meanwhile_explains_it(
    at_s: float, container: int, *, explained: bool
) -> None:
    arm = Arm()
    failed = arm.request(due_s=1.0, end_s=2.0, status=503, error="reset", calls=[], without=["agent"])
    kill(arm, at_s, container)
    assert named(arm) == ([] if explained else [failed])


def test_who_is_known_to_no_container_may_have_been_in_the_one_that_was_killed() -> None:
    arm = Arm()
    arm.request(due_s=1.0, end_s=2.0, status=0, error="reset", container=None)
    kill(arm, 1.5)
    assert named(arm) == []


@pytest.mark.parametrize(
    ("due_s", "container", "explained"), [(15.0, None, True), (5.0, None, False), (15.0, 1, False)]
)
def test_that_there_was_no_container_explains_it(
    due_s: float, container: int | None, *, explained: bool
) -> None:
    arm = Arm(containers=1)
    arm.moved(1, left_s=10.0)
    arm.set(end_s=20.0)
    failed = arm.request(due_s=due_s, status=503, error="no healthy upstream", container=container, calls=[])
    assert named(arm) == ([] if explained else [failed])


def test_that_there_was_none_when_it_came_explains_no_answer_of_the_next_one() -> None:
    """It waited for that, and got an error from it: also where the agent sends no span."""
    arm = Arm(containers=2)
    arm.moved(1, left_s=10.0)
    arm.moved(2, joined_s=25.0)
    arm.request(due_s=5.0)
    failed = arm.request(
        due_s=20.0, begin_s=25.0, end_s=25.6, status=500, error="failed", container=2, calls=[],
        without=["POST /invocations", "invoke_agent agentrig"],
    )  # fmt: skip
    arm.set(end_s=30.0)
    assert [request.server for request in arm.history().requests][1:] == [None]
    assert named(arm) == [failed]


@pytest.mark.parametrize(("sent_s", "status"), [(1.0, 409), (3.0, 409), (1.0, 500)])
@pytest.mark.parametrize("session", ["same", "other"])
def test_a_conflict_is_explained_by_who_asked_on_before_the_answer(
    sent_s: float, status: int, session: str
) -> None:
    arm = Arm()
    arm.request(due_s=0.0, end_s=2.0)
    failed = arm.request(due_s=sent_s, end_s=sent_s + 1, status=status, error="conflict", calls=[])
    arm.rows[0] = replace(arm.rows[0], session_id="same")
    arm.rows[1] = replace(arm.rows[1], session_id=session)
    assert named(arm) == ([] if (sent_s, status, session) == (1.0, 409, "same") else [failed])


def refused(arm: Arm, at_s: float = 1.0) -> str:
    return arm.request(
        due_s=at_s, end_s=at_s + 0.01, status=503, error="busy", container=None, refused_by=[1]
    )


@pytest.mark.parametrize(("policy", "by_one"), [("busy-503", False), ("busy-aware", False), ("blind", True)])
@pytest.mark.parametrize("without", [[], ["agent"]])
def test_a_refusal_is_explained_by_full_containers(policy: str, without: list[str], *, by_one: bool) -> None:
    arm = Arm(containers=2)
    arm.set(policy=policy)
    arm.request(due_s=0.0, end_s=2.0, container=1, without=without)
    needless = refused(arm)
    assert named(arm) == ([] if by_one else [needless])
    arm.request(due_s=0.0, end_s=2.0, container=2, without=without)
    assert named(arm) == []


@pytest.mark.parametrize(("like", "by_one"), [("busy-503", False), ("blind", True)])
def test_of_a_policy_of_a_package_counts_which_of_ours_it_is_like(like: str, *, by_one: bool) -> None:
    arm = Arm(containers=2)
    arm.set(policy="acme", policy_like=like)
    arm.request(due_s=0.0, end_s=2.0, container=1)
    needless = refused(arm)
    assert named(arm) == ([] if by_one else [needless])


@pytest.mark.parametrize("policy", ["busy-503", "blind"])
def test_a_refusal_while_all_idle_is_not(policy: str) -> None:
    arm = Arm(containers=2)
    arm.set(policy=policy)
    arm.request(due_s=5.0)
    needless = refused(arm)
    assert named(arm) == [needless]


def test_those_that_were_refused_fill_no_container() -> None:
    arm = Arm(containers=1)
    together = [refused(arm) for _ in range(5)]
    assert named(arm) == together


def test_a_call_in_vain_that_nobody_is_known_to_have_made_explains_one_failure() -> None:
    arm = Arm()
    for due_s in (1.0, 2.0):
        arm.request(due_s=due_s, end_s=due_s + 0.5, status=502, error="failed", calls=[["overloaded"]])
    arm.journal = [
        replace(row, trace_id=None, parent_span_id=None, call_id=str(number))
        for number, row in enumerate(arm.journal)
    ]
    assert named(arm) == []
    arm.journal.pop()
    assert named(arm) == [arm.rows[1].trace_id]


def test_whose_call_met_a_fault_can_t_be_told_where_all_say_the_same() -> None:
    arm = Arm(containers=4, limit=16)
    for number in range(40):
        refused = number % 4 == 0
        arm.request(
            due_s=1.0 * number,
            calls=[["overloaded"] * 3] if refused else [["ok"]],
            status=502 if refused else 200,
            error="the model is not available" if refused else None,
        )
    assert find("errors-explained", arm).holds
    arm.journal = [
        replace(row, trace_id=None, parent_span_id=None, call_id="the same") for row in arm.journal
    ]
    finding = find("errors-explained", arm)
    assert finding.holds is None
    assert "a fault may have been the cause of 10" in finding.message
    arm.request(due_s=50.0, status=500, error="a bug", calls=[])
    assert find("errors-explained", arm).holds is False, "nothing was refused then"
