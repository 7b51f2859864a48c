"""Whose each model call is, where the trace alone doesn't say."""

from dataclasses import replace

import pytest

from harness.contract import SERVICE_SIMULATOR
from harness.records.history import ArmHistory, calls
from harness.records.seen import JournalRow
from tests.harness.histories import BEGIN_S, Arm, Try

OTHERS = [f"{number:032x}" for number in range(0xF00, 0xFFF)]


def word(number: int) -> str:
    return f"CANARY-{number:012x}"


def told(arm: Arm) -> None:
    """Let each request tell a word of its own, and each of its model calls carry it."""
    arm.rows = [replace(row, canary=word(row.index)) for row in arm.rows]
    owner = {row.trace_id: row.canary for row in arm.rows}
    arm.journal = [replace(row, canary=owner[row.trace_id or ""]) for row in arm.journal]


def untraced(arm: Arm, traces: list[str] | None = None) -> None:
    """Let the model calls come without a trace, or each with one of its own that no request has."""
    fresh = iter(traces or [])
    arm.spans = [span for span in arm.spans if span.service != SERVICE_SIMULATOR]  # theirs are in no request
    arm.journal = [
        replace(row, trace_id=next(fresh, None), parent_span_id="a" * 16 if traces else None, attempt=1)
        for row in arm.journal
    ]


def attempts(history: ArmHistory) -> list[list[tuple[int, str]]]:
    return [[(row.attempt, row.decision) for row in call] for call in calls(history.journal)]


@pytest.mark.parametrize("traces", [None, OTHERS])
def test_attempts_with_traces_of_their_own_are_one_call_of_whose_word_they_carry(
    traces: list[str] | None,
) -> None:
    arm = Arm()
    arm.request(calls=[["auth"] * 5], status=502, error="refused")
    told(arm)
    untraced(arm, traces)
    history = arm.history()
    assert attempts(history) == [[(number, "auth") for number in range(1, 6)]]
    assert len(history.requests[0].journal) == 5
    assert (history.joins.received, history.joins.joined, history.joins.ambiguous) == (5, 5, frozenset())


def test_a_word_tells_also_where_other_calls_came_with_a_parent() -> None:
    arm = Arm()
    arm.request(calls=[["ok"], ["auth", "auth"]])
    told(arm)
    arm.journal = [
        replace(row, trace_id=OTHERS[number], parent_span_id="b" * 16) if row.call_id == "call-1" else row
        for number, row in enumerate(arm.journal)
    ]
    assert [len(call) for call in calls(arm.history().requests[0].journal)] == [1, 2]


def test_what_nobody_sent_has_no_trace_and_is_grouped_by_its_body() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "overloaded", "ok"]])
    untraced(arm, OTHERS)
    history = arm.history()
    assert attempts(history) == [[(1, "overloaded"), (2, "overloaded"), (3, "ok")]]
    assert history.requests[0].journal == ()
    assert history.joins.share == 0.0
    assert len(history.joins.ambiguous) == 1, "it may have been three requests"


def test_a_single_call_of_nobody_is_not_taken_for_several() -> None:
    arm = Arm()
    arm.request()
    arm.stray()
    history = arm.history()
    assert history.joins.share == 0.5
    assert not history.joins.ambiguous


def test_the_same_words_from_several_requests_with_traces_are_told_apart() -> None:
    arm = Arm()
    for number in range(6):
        arm.request(due_s=0.01 * number)
    history = arm.history()
    assert [len(call) for call in calls(history.journal)] == [1] * 6
    assert not history.joins.ambiguous


def shared_history(*, at_s: float = 0.05, second_s: float | None = None) -> Arm:
    """Two requests into one conversation: both bodies end with the word that was told last."""
    arm = Arm()
    arm.request(due_s=0.0, end_s=0.3, container=1, calls=[[Try(at_s=at_s, lasted_s=0.1)]])
    later_s = at_s + 0.12 if second_s is None else second_s
    arm.request(due_s=0.01, end_s=0.3, container=2, calls=[[Try(at_s=later_s, lasted_s=0.1)]])
    told(arm)
    untraced(arm)
    arm.journal = [replace(row, canary=word(1)) for row in arm.journal]
    return arm


def test_calls_that_say_the_same_are_ambiguous_while_a_request_has_none() -> None:
    history = shared_history().history()
    assert [len(request.journal) for request in history.requests] == [0, 2]
    assert len(history.joins.ambiguous) == 1
    assert [len(request.journal) for request in history.told_apart().requests] == [0, 0]
    assert history.told_apart().journal == ()


def test_calls_that_say_the_same_at_the_same_time_are_ambiguous() -> None:
    arm = shared_history(second_s=0.06)
    arm.stray()
    arm.journal[-1] = replace(arm.journal[-1], canary=word(0))  # the other has a call, too
    assert len(arm.history().joins.ambiguous) == 1


@pytest.mark.parametrize(("status", "ambiguous"), [(200, 1), (500, 1), (503, 0), (0, 0)])
def test_a_request_that_nobody_worked_on_called_no_model(status: int, ambiguous: int) -> None:
    arm = shared_history()
    arm.rows[0] = replace(arm.rows[0], status=status, error=None if status == 200 else "failed")
    assert len(arm.history().joins.ambiguous) == ambiguous


def test_a_retry_is_one_while_every_other_request_has_its_calls() -> None:
    arm = Arm()
    arm.request(due_s=0.0, end_s=1.0, calls=[["overloaded", Try(at_s=0.5)]])
    arm.request(due_s=0.1, end_s=0.9)
    arm.request(due_s=0.6, end_s=0.9, status=503, error="busy", container=None, refused_by=[1, 2])
    told(arm)
    untraced(arm)
    assert not arm.history().joins.ambiguous


def test_who_hung_up_may_have_tried_again_before_the_simulator_noticed() -> None:
    arm = Arm()
    arm.request(end_s=3.0, calls=[[Try(decision="slow_stream", at_s=0.1, lasted_s=2.0), Try(at_s=1.0)]])
    told(arm)
    untraced(arm)
    assert len(arm.history().joins.ambiguous) == 1
    arm.journal[0] = replace(arm.journal[0], client_gone=True)
    assert not arm.history().joins.ambiguous


def test_a_trace_that_is_carried_on_for_others_makes_their_calls_ambiguous() -> None:
    arm = Arm()
    first = arm.request(due_s=0.0, end_s=0.3)
    arm.request(due_s=0.1, end_s=0.3)
    told(arm)
    arm.journal = [replace(row, trace_id=first, call_id=f"body-{row.canary}") for row in arm.journal]
    assert arm.history().joins.ambiguous == {(first, f"body-{word(1)}")}


def test_who_tells_what_another_said_is_believed_by_its_trace() -> None:
    arm = Arm()
    arm.request()
    quoting = arm.request()
    told(arm)
    arm.journal = [replace(row, canary=word(0)) for row in arm.journal]
    history = arm.history()
    assert [row.trace_id for row in history.requests[1].journal] == [quoting]
    assert not history.joins.ambiguous


def test_retries_are_looked_for_in_what_is_told_apart() -> None:
    arm = Arm()
    for number in range(150):
        arm.request(due_s=2.0 * number, calls=[["overloaded", Try(at_s=2.0 * number + 0.05 + number / 1e3)]])
    told(arm)
    untraced(arm)
    assert arm.history().herd.first_retries == 150
    arm.journal = [replace(row, canary=None) for row in arm.journal]
    assert arm.history().herd.first_retries == 0


def test_an_arm_without_a_model_call_has_no_share() -> None:
    assert Arm().history().joins.share is None


def test_rows_come_in_order_of_arrival_whoever_sent_them() -> None:
    row = JournalRow(
        time_s=BEGIN_S, end_s=BEGIN_S, connection=1, protocol="openai", model="m", stream=True,
        call_id="c", attempt=1,
    )  # fmt: skip
    arm = Arm()
    arm.journal = [replace(row, time_s=BEGIN_S + second) for second in (3, 1, 2)]
    assert [each.time_s - BEGIN_S for each in arm.history().journal] == [1, 2, 3]
    assert [each.attempt for each in arm.history().journal] == [1, 2, 3]


def test_a_body_that_one_request_alone_has_tells_as_well() -> None:
    arm = Arm()
    retried = arm.request(calls=[["auth", "auth", "auth"]], status=502, error="refused")
    arm.request(due_s=1.0)
    arm.journal = [  # an SDK that gives the attempts after the first no trace
        replace(row, call_id=f"body-of-{row.trace_id}", trace_id=row.trace_id if row.attempt == 1 else None)
        for row in arm.journal
    ]
    history = arm.history()
    assert [row.trace_id for row in history.requests[0].journal] == [retried] * 3
    assert history.joins.share == 1.0
    assert not history.joins.ambiguous


def test_a_body_that_a_request_without_a_call_may_have_had_is_ambiguous() -> None:
    arm = Arm()
    first = arm.request(due_s=0.0, end_s=0.3)
    arm.request(due_s=0.1, end_s=0.3)
    arm.journal = [
        replace(row, call_id="same", trace_id=row.trace_id if row.trace_id == first else None)
        for row in arm.journal
    ]
    assert arm.history().joins.ambiguous == {(first, "same")}


def test_calls_of_nobody_are_ambiguous_only_where_a_request_may_have_made_them() -> None:
    arm = Arm()
    for number in range(20):
        arm.request(due_s=1.0 * number)
        arm.stray()
        arm.journal[-1] = replace(arm.journal[-1], time_s=BEGIN_S + number + 0.05)
    assert not arm.history().joins.ambiguous, "each request has its own: something else looks after itself"
    arm.request(due_s=5.0, calls=[])
    assert arm.history().joins.ambiguous == {(None, "stray")}


def test_what_came_before_the_load_is_of_no_request_and_not_counted() -> None:
    arm = Arm()
    arm.request()
    arm.stray()
    arm.journal[-1] = replace(arm.journal[-1], time_s=BEGIN_S - 3.0)
    assert arm.history().joins.share == 1.0


def test_calls_after_one_that_failed_may_be_its_attempts_in_other_words() -> None:
    arm = Arm()
    again = arm.request(due_s=0.0, calls=[["overloaded"], ["ok"]])
    arm.request(due_s=1.0, calls=[["ok"], ["ok"]])
    arm.request(due_s=2.0, calls=[["bad_request"], ["ok"]])
    arm.journal[1] = replace(arm.journal[1], time_s=BEGIN_S + 0.05, end_s=BEGIN_S + 0.06)
    assert arm.history().joins.ambiguous == {(again, "call-0"), (again, "call-1")}


def test_a_step_after_an_answer_that_was_cut_is_another_one_where_nobody_tries_in_other_words() -> None:
    arm = Arm()
    arm.request(due_s=0.0, calls=[["eof_clean"], ["ok"]])
    arm.journal[1] = replace(arm.journal[1], time_s=BEGIN_S + 0.05, end_s=BEGIN_S + 0.06)
    assert not arm.history().joins.ambiguous


def test_an_answer_that_is_noted_late_makes_no_retry_another_request_s() -> None:
    arm = Arm()
    first = Try(decision="overloaded", at_s=0.1, noted_late_s=0.5)
    arm.request(due_s=0.0, end_s=1.0, calls=[[first, Try(at_s=0.3)]])
    told(arm)
    untraced(arm)
    assert not arm.history().joins.ambiguous
