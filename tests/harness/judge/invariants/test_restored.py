"""Copies of one snapshot: what they draw, what their first caller pays, what they renew, what they stamp."""

from dataclasses import replace
from typing import Any

import pytest

from harness import contract
from harness.judge.evidence import missing
from harness.judge.invariants import REGISTRY
from harness.records.weather import Connection, RestoredCopy
from tests.harness.histories import BEGIN_S, Arm
from tests.harness.judge.cases import find, judged

COPIES = 4
RESTORED_S = -5.0
"""Seconds since the load began: the first requests come before it."""


def copy(number: int, **more: Any) -> RestoredCopy:
    told: dict[str, Any] = {
        "container": f"agent-{number}",
        "restored_s": BEGIN_S + RESTORED_S,
        "hooked": True,
        "status": 200,
        "trace_id": f"{number:032x}",
        "took_s": 0.3,
        "sessions": (f"session-{number}-1", f"session-{number}-2"),
        "requests": (f"request-{number}",),
        "stamp": BEGIN_S + RESTORED_S,
    }
    return RestoredCopy(**told | more)


def connected(number: int, *, dead_used: bool = False) -> Connection:
    """A connection that a copy had when it was restored."""
    return Connection(container=f"agent-{number}", target="model", opened_s=BEGIN_S - 9, dead_used=dead_used)


def restored(*changed: RestoredCopy, requests: int = 12, copies: int = COPIES) -> Arm:
    """An arm of four copies, all sound but for those that are given."""
    arm = Arm(containers=copies)
    others = {each.container: each for each in changed}
    arm.set(
        restored=tuple(others.get(f"agent-{n}", copy(n)) for n in range(1, copies + 1)),
        connections=tuple(map(connected, range(1, copies + 1))),
    )
    for number in range(requests):
        arm.request(due_s=number, container=number % copies + 1)
    return arm


EVERY = ("ids-differ", "sessions-minted-once", "first-after-restore", "renewed-once", "stamp-of-this-life")


@pytest.mark.parametrize("check", EVERY)
def test_where_nothing_was_restored_nothing_is_known(check: str) -> None:
    assert judged(check, Arm()).holds is None


@pytest.mark.parametrize(
    "check", ["ids-differ", "sessions-minted-once", "stamp-of-this-life", "delays-differ"]
)
def test_what_is_no_copy_shows_nothing_of_what_copies_draw(check: str) -> None:
    needs = REGISTRY[check].needs
    assert missing(needs, restored().history()) is None
    assert missing(needs, restored(copy(2, hooked=False)).history()) is not None


def test_waits_are_looked_at_where_nothing_was_restored() -> None:
    arm = Arm()
    arm.request(due_s=0)
    assert missing(REGISTRY["delays-differ"].needs, arm.history()) is None


def test_copies_that_draw_for_themselves_hold() -> None:
    finding = judged("ids-differ", restored())
    assert finding.holds
    assert finding.observed == 0


def test_too_few_requests_after_a_restore_tell_nothing() -> None:
    assert judged("ids-differ", restored(requests=3)).holds is None


def test_of_a_copy_that_worked_on_nothing_it_is_not_known_what_it_draws() -> None:
    arm = restored(requests=0)
    for number in range(20):
        arm.request(due_s=number, container=number % 3 + 1)
    assert judged("ids-differ", arm).holds is None
    for number in range(3):
        arm.request(due_s=30 + number, container=4)
    assert judged("ids-differ", arm).holds


def test_a_span_id_that_two_copies_drew_is_found() -> None:
    arm = restored()
    first, other = (next(n for n, s in enumerate(arm.spans) if s.instance == f"agent-{k}") for k in (1, 2))
    arm.spans[other] = replace(arm.spans[other], span_id=arm.spans[first].span_id)
    finding = judged("ids-differ", arm)
    assert finding.holds is False
    assert set(finding.traces) == {arm.spans[first].trace_id, arm.spans[other].trace_id}


def test_a_trace_that_two_copies_began_is_found_also_with_the_same_span_id() -> None:
    arm = restored()
    mine = next(s for s in arm.spans if s.instance == "agent-1" and s.kind == "server")
    root = replace(mine, trace_id="e" * 32, span_id="e" * 16, parent_span_id=None)
    arm.spans += [root, replace(root, instance="agent-2")]
    finding = judged("ids-differ", arm)
    assert finding.holds is False
    assert "1 of traces" in finding.message


def test_what_was_drawn_before_the_restore_does_not_count() -> None:
    arm = restored()
    mine = next(s for s in arm.spans if s.instance == "agent-1" and s.kind == "server")
    before_ns = int((BEGIN_S + RESTORED_S - 1) * 1e9)
    root = replace(mine, trace_id="e" * 32, parent_span_id=None, start_ns=before_ns, end_ns=before_ns + 1)
    arm.spans += [root, replace(root, instance="agent-2")]
    assert judged("ids-differ", arm).holds


def test_an_agent_object_or_a_request_of_two_copies_is_found() -> None:
    arm = restored()
    for number, span in enumerate(arm.spans):
        if span.name.startswith("invoke_agent"):
            arm.spans[number] = replace(
                span, attributes={**span.attributes, contract.AGENT_ID: "one-for-all"}
            )
    assert "1 of Agent objects" in judged("ids-differ", arm).message
    assert judged("ids-differ", restored(copy(1, requests=("x",)), copy(2, requests=("x",)))).observed == 1


@pytest.mark.parametrize(("told", "holds"), [("7", True), ("1234567890123", False), ("a7", False)])
def test_an_agent_that_its_process_counts_is_not_drawn(told: str, *, holds: bool) -> None:
    arm = restored()
    for container in (1, 2):
        arm.request(due_s=20.0 + container, container=container, agent_id=told)
    assert judged("ids-differ", arm).holds is holds


def test_sessions_of_their_own_hold_and_one_that_two_made_is_found() -> None:
    assert judged("sessions-minted-once", restored()).holds
    finding = judged("sessions-minted-once", restored(copy(2, sessions=("session-1-1", "session-2-2"))))
    assert finding.holds is False
    assert "agent-1 and agent-2" in finding.message


def test_too_few_sessions_tell_nothing() -> None:
    few = [copy(n, sessions=(f"s-{n}",)) for n in range(1, COPIES + 1)]
    assert judged("sessions-minted-once", restored(*few)).holds is None


def test_first_requests_that_are_answered_at_once_hold() -> None:
    assert judged("first-after-restore", restored()).holds


def test_too_few_copies_tell_nothing() -> None:
    arm = Arm(containers=2)
    arm.set(restored=(copy(1), copy(2)))
    assert judged("first-after-restore", arm).holds is None
    assert judged("stamp-of-this-life", arm).holds is None


def test_an_error_after_the_restore_is_found_with_its_trace() -> None:
    finding = judged("first-after-restore", restored(copy(3, status=502, error="auth")))
    assert finding.holds is False
    assert finding.traces == (f"{3:032x}",)
    assert "agent-3 answered 502, auth" in finding.message


def test_one_of_the_first_together_that_failed_is_found_though_the_first_had_its_answer() -> None:
    """Who renews a client and closes the old one under those who use it fails them, and nobody later."""
    finding = judged("first-after-restore", restored(copy(3, failed=("HTTP 500: the client is closed",))))
    assert finding.holds is False
    assert finding.traces == (f"{3:032x}",)
    assert "agent-3 failed 1 of those that came with it: HTTP 500" in finding.message


def test_who_calls_its_model_by_a_way_that_nobody_sees_is_no_case() -> None:
    """Its tools' connections were dead, and those that matter were not."""
    arm = restored()
    (first, *others) = arm.facts.connections
    arm.set(connections=(replace(first, target="tools"), *others))
    assert judged("first-after-restore", arm).holds is None
    arm.journal.clear()
    arm.spans = [span for span in arm.spans if span.service != contract.SERVICE_SIMULATOR]
    assert judged("first-after-restore", arm).holds, "it calls no model"


MANY = 8


@pytest.mark.parametrize("check", ["first-after-restore", "sessions-minted-once", "stamp-of-this-life"])
def test_what_holds_in_half_of_many_copies_is_not_known_of_the_others(check: str) -> None:
    silent = [copy(n, sessions=(), stamp=None) for n in range(1, MANY // 2 + 1)]
    arm = restored(*silent, copies=MANY)
    arm.set(connections=tuple(map(connected, range(MANY // 2 + 1, MANY + 1))))
    assert find(check, arm).holds
    assert judged(check, arm).holds is None
    assert judged(check, restored(copies=MANY)).holds


def test_of_many_copies_each_has_to_have_drawn() -> None:
    arm = restored(requests=0, copies=MANY)
    for number in range(60):
        arm.request(due_s=number, container=number % (MANY - 1) + 1)
    assert judged("ids-differ", arm).holds is None
    for number in range(2):
        arm.request(due_s=70 + number, container=MANY)
    assert judged("ids-differ", arm).holds


def test_a_dead_connection_that_was_used_is_found_though_the_caller_got_its_answer() -> None:
    arm = restored()
    arm.set(connections=(connected(1), connected(2, dead_used=True), connected(3), connected(4)))
    finding = judged("first-after-restore", arm)
    assert finding.holds is False
    assert finding.observed == 1
    assert "agent-2 used dead connections: 1" in finding.message


def test_where_no_connection_was_seen_none_that_is_dead_would_have_been() -> None:
    arm = restored()
    arm.set(connections=tuple(map(connected, range(1, COPIES))))
    assert judged("first-after-restore", arm).holds is None


def test_a_key_of_before_is_found_also_where_a_retry_hid_it() -> None:
    arm = restored()
    arm.journal[3] = replace(arm.journal[3], source="auth", decision="auth", status=401)
    assert judged("first-after-restore", arm).holds is False


def built(arm: Arm, container: int, client: str = "llm", at_s: float = RESTORED_S + 1) -> None:
    arm.init(client, container, state="reinit", reason="expired", at_s=at_s, trace="d" * 32)


def test_clients_that_are_renewed_once_hold() -> None:
    arm = restored()
    for number in range(1, COPIES + 1):
        built(arm, number)
        built(arm, number, at_s=RESTORED_S - 20)  # the first build, before the snapshot
    assert judged("renewed-once", arm).holds


def test_a_client_that_is_renewed_by_each_request_is_found() -> None:
    arm = restored()
    for number in range(1, COPIES + 1):
        built(arm, number)
    built(arm, 2)
    finding = judged("renewed-once", arm)
    assert finding.holds is False
    assert "llm of agent-2, 2 times" in finding.message


def test_a_build_that_failed_is_tried_again() -> None:
    arm = restored()
    for number in range(1, COPIES + 1):
        built(arm, number)
    arm.init("llm", 2, state="reinit", at_s=RESTORED_S + 0.5, trace="d" * 32, failed=True)
    assert judged("renewed-once", arm).holds


def test_clients_that_each_have_a_name_of_their_own_may_be_one() -> None:
    arm = restored()
    for number in range(40):
        built(arm, number % COPIES + 1, client=f"llm-{number}")
    finding = judged("renewed-once", arm)
    assert finding.holds is None
    assert "10 clients of one have names that no other has" in finding.message


def test_one_client_that_was_renewed_tells_too_little() -> None:
    arm = restored()
    built(arm, 1)
    assert judged("renewed-once", arm).holds is None


def test_a_stamp_of_this_life_holds_and_one_of_before_is_found() -> None:
    assert judged("stamp-of-this-life", restored()).holds
    finding = judged("stamp-of-this-life", restored(copy(4, stamp=BEGIN_S - 6 * 3600)))
    assert finding.holds is False
    assert "6.0 h" in finding.message


def test_whoever_tells_no_stamp_is_not_judged_by_it() -> None:
    silent = [copy(n, stamp=None) for n in range(1, COPIES + 1)]
    assert find("stamp-of-this-life", restored(*silent)).holds is None


@pytest.mark.parametrize("check", ["ids-differ", "sessions-minted-once", "stamp-of-this-life"])
def test_what_was_restored_without_the_hook_is_no_copy(check: str) -> None:
    finding = judged(check, restored(copy(2, hooked=False)))
    assert finding.holds is None
    assert "hook" in finding.message


@pytest.mark.parametrize("stamp", [(BEGIN_S + RESTORED_S) * 1000, BEGIN_S + 3600.0])
def test_a_stamp_of_a_time_that_has_not_come_is_found(stamp: float) -> None:
    finding = judged("stamp-of-this-life", restored(copy(4, stamp=stamp)))
    assert (finding.holds, finding.observed) == (False, 1)
    assert "1 one of a time that had not come" in finding.message
