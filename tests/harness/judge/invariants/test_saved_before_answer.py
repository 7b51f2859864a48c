from dataclasses import replace

import pytest

from harness.records.setup import FleetEvent
from tests.harness.histories import BEGIN_S, Arm
from tests.harness.judge.cases import find, judged


def saved(*ends_s: float) -> Arm:
    """Answers that are there after 0.1 s, with turns that are saved by then, or later."""
    arm = Arm(containers=1)
    for number, end_s in enumerate(ends_s):
        arm.request(due_s=float(number))
        arm.span("session.save", number + 0.05, number + end_s)
    return arm


def test_a_turn_that_is_saved_first_holds() -> None:
    finding = judged("saved-before-answer", saved(*[0.099] * 50))
    assert finding.holds
    assert (finding.observed, finding.cases) == (0, 50)


@pytest.mark.parametrize("late_s", [0.105, 0.125])
def test_a_turn_that_is_saved_a_few_milliseconds_later_is_found(late_s: float) -> None:
    arm = saved(*[0.09] * 49, late_s)
    finding = judged("saved-before-answer", arm)
    assert finding.holds is False
    assert finding.traces == (arm.rows[-1].trace_id,)
    assert f"the latest by {(late_s - 0.1) * 1e3:.0f} ms" in finding.message


def test_what_the_balancer_had_is_what_counts_where_the_caller_is_slow() -> None:
    arm = saved(*[0.09] * 50, 0.105)
    arm.change(end_s=arm.rows[-1].end_s + 0.05)
    assert find("saved-before-answer", arm).observed == 0  # for want of a span, the caller's word
    arm.passed_on(50.101)
    assert find("saved-before-answer", arm).observed == 1


def test_a_turn_of_a_request_that_failed_went_out_to_nobody() -> None:
    arm = saved(*[0.09] * 50, 0.5)
    arm.change(status=502, error="failed")
    assert find("saved-before-answer", arm).observed == 0


def test_a_save_that_ended_in_an_error_is_none() -> None:
    arm = saved(*[0.09] * 49)
    arm.request(due_s=60.0)
    arm.span("session.save", 60.05, 60.09, failed=True)
    finding = judged("saved-before-answer", arm)
    assert finding.holds is False
    assert finding.traces == (arm.rows[-1].trace_id,)
    assert "1 of 50 turns were saved after their answer had gone out, and 1 of them never" in finding.message


def test_a_save_that_failed_and_was_tried_again_is_one() -> None:
    arm = saved(*[0.09] * 49)
    arm.request(due_s=60.0)
    arm.span("session.save", 60.05, 60.06, failed=True)
    arm.span("session.save", 60.07, 60.09)
    assert judged("saved-before-answer", arm).holds


def test_answers_of_which_no_span_tells_when_they_were_saved_make_it_unknown() -> None:
    arm = saved(*[0.099] * 50)
    assert judged("saved-before-answer", arm).holds
    for number in range(50):
        arm.request(due_s=100.0 + number)
    finding = judged("saved-before-answer", arm)
    assert finding.holds is None
    assert (finding.cases, finding.expected) == (50, 100)
    assert "only 50 were seen" in finding.message


def test_a_late_turn_is_found_though_others_are_missing() -> None:
    arm = saved(*[0.099] * 50, 0.125)
    for number in range(50):
        arm.request(due_s=100.0 + number)
    assert judged("saved-before-answer", arm).holds is False


def test_what_was_sent_again_as_a_container_died_need_not_tell() -> None:
    arm = saved(*[0.099] * 50)
    arm.request(due_s=60.0)
    kill = FleetEvent(time_s=BEGIN_S + 60.05, action="kill", container="agent-1")
    arm.set(events=(kill,))
    assert judged("saved-before-answer", arm).holds


def test_what_a_container_passed_on_that_died_is_no_answer() -> None:
    arm = saved(*[0.09] * 50)
    arm.request(due_s=60.0, begin_s=60.04)
    arm.span("session.save", 60.05, 60.09)
    arm.passed_on(60.02)
    assert find("saved-before-answer", arm).observed == 0


def queued(ahead_s: float = 0.0) -> Arm:
    """Requests that all stood in a queue for 0.3 s, saved 25 ms after their answer; a clock that is ahead."""
    arm = Arm(containers=1)
    for number in range(50):
        arm.request(due_s=float(number), begin_s=number + 0.3, end_s=number + 0.4)
        arm.span("session.save", number + 0.41, number + 0.425)
    arm.spans = [
        replace(
            span,
            start_ns=span.start_ns + round(ahead_s * 1e9),
            end_ns=span.end_ns + round(ahead_s * 1e9),
        )
        if span.of_agent
        else span
        for span in arm.spans
    ]
    return arm


def test_a_queue_that_all_stood_in_hides_no_turn_that_was_late() -> None:
    finding = judged("saved-before-answer", queued())
    assert (finding.holds, finding.observed) == (False, 50)
    assert "the latest by 25 ms" in finding.message


def test_a_clock_that_is_ahead_makes_no_turn_late() -> None:
    arm = queued(ahead_s=0.005)
    arm.spans = [span for span in arm.spans if span.name != "session.save"]
    for number, row in enumerate(arm.rows):
        arm.rows.append(row)  # the span goes into the trace of the latest
        arm.span("session.save", number + 0.39, number + 0.404)
        arm.rows.pop()
    assert judged("saved-before-answer", arm).holds
