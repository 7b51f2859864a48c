from dataclasses import replace

import pytest

from harness.records.setup import FleetEvent
from tests.harness.histories import BEGIN_S, Arm, Try
from tests.harness.judge.cases import find, judged


def test_three_attempts_are_within_the_bound() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "overloaded", "ok"], ["ok"]])
    finding = find("attempts-bounded", arm)
    assert finding.holds
    assert finding.observed == 3


def test_a_fourth_attempt_is_found_with_its_trace() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "ok"]])
    over = arm.request(calls=[["ok"], ["overloaded"] * 3 + ["ok"]])
    finding = find("attempts-bounded", arm)
    assert finding.holds is False
    assert finding.observed == 4
    assert finding.traces == (over,)


def test_spans_that_tell_what_was_received_agree() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "ok"], ["ok"]])
    finding = find("attempts-agree", arm)
    assert finding.holds
    assert "3 attempts received, 3 in spans, 3 by the agent's own count" in finding.message


def test_an_attempt_without_a_span_is_found() -> None:
    arm = Arm()
    arm.request()
    hidden = arm.request(calls=[["overloaded", Try(unseen=True), "ok"]])
    finding = find("attempts-agree", arm)
    assert finding.holds is False
    assert finding.observed == 1
    assert finding.traces == (hidden,)


def test_a_retry_behind_the_agent_s_back_is_found_though_the_transport_saw_it() -> None:
    arm = Arm()
    hidden = arm.request(calls=[["overloaded", Try(hidden=True)]])
    finding = find("attempts-agree", arm)
    assert finding.holds is False
    assert finding.traces == (hidden,)


def test_an_attempt_that_never_arrived_is_found() -> None:
    arm = Arm()
    lost = arm.request(calls=[["overloaded", "ok"]])
    arm.journal.pop()
    assert find("attempts-agree", arm).traces == (lost,)


@pytest.mark.parametrize("trace", [None, "c" * 32])
def test_a_call_that_belongs_to_no_request_is_found(trace: str | None) -> None:
    arm = Arm()
    arm.request()
    arm.stray(trace)
    finding = find("attempts-agree", arm)
    assert finding.holds is False
    assert "1 attempts belong to no request" in finding.message


def test_amplification_is_attempts_over_calls() -> None:
    arm = Arm()
    retried = arm.request(calls=[["overloaded", "overloaded", "ok"]])
    arm.request()
    finding = find("amplification", arm)
    assert finding.holds
    assert finding.observed == 2
    assert finding.traces == (retried,)


def test_amplification_above_the_limit_is_found_the_most_retried_first() -> None:
    arm = Arm()
    some = arm.request(calls=[["overloaded", "ok"]])
    most = arm.request(calls=[["overloaded"] * 7])
    finding = find("amplification", arm)
    assert finding.holds is False
    assert finding.observed == 4.5
    assert finding.traces == (most, some)


def test_faults_that_no_retry_mends_are_no_cases_of_hidden_retries() -> None:
    arm = Arm()
    arm.request(calls=[["bad_request"]], status=400, error="refused")
    arm.request(calls=[["slow_stream"]])
    arm.request(calls=[["overloaded", "ok"]])
    assert find("attempts-agree", arm).cases == 1


def late(after_s: float, **row: object) -> Arm:
    """Two attempts, the second so long after the answer."""
    arm = Arm()
    arm.request(end_s=0.1, calls=[["overloaded", Try(at_s=0.1 + after_s)]])
    arm.change(**row)
    return arm


def test_a_retry_that_comes_when_the_answer_is_out_is_found_within_the_bound() -> None:
    arm = late(0.5)
    finding = judged("attempts-bounded", arm)
    assert finding.holds is False
    assert finding.message.endswith("1 attempts came after their request had its answer")
    assert finding.traces == (arm.rows[0].trace_id,)


@pytest.mark.parametrize("row", [{"status": 0, "error": "timeout"}, {"left": True, "error": "left"}])
def test_an_agent_need_not_know_of_a_caller_who_left(row: dict[str, object]) -> None:
    assert find("attempts-bounded", late(0.5, **row)).holds


def test_an_attempt_that_was_under_way_is_no_late_one() -> None:
    assert find("attempts-bounded", late(0.02)).holds


def test_another_call_after_the_answer_is_no_retry() -> None:
    arm = Arm()
    arm.request(end_s=0.1, calls=[["ok"], [Try(decision="overloaded", at_s=0.5), Try(at_s=0.9)]])
    assert find("attempts-bounded", arm).holds


def test_a_container_that_gets_a_request_of_one_that_died_may_try_as_often() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=9.0, container=1, calls=[[Try(connection=1)]])
    arm.request(due_s=9.5, container=2, calls=[[Try(connection=2)]])
    lost = [Try(decision="overloaded", connection=1, unseen=True)] * 3
    again = [Try(decision="overloaded", connection=2), Try(connection=2)]
    arm.request(end_s=1.0, container=2, calls=[[*lost, *again]])
    assert find("attempts-bounded", arm).observed == 5
    arm.set(events=(FleetEvent(time_s=BEGIN_S + 0.5, action="kill", container="agent-1"),))
    finding = find("attempts-bounded", arm)
    assert finding.observed == 3
    assert finding.holds


def test_a_loop_is_one_though_the_copy_beside_it_drew_the_same_ids_of_spans() -> None:
    arm = Arm()
    arm.request(status=502, error="gave up", calls=[["overloaded"] * 4])
    arm.request(due_s=1.0, container=2, calls=[["overloaded", "ok"]])
    mine, yours = (
        [span for span in arm.spans if span.name == "POST" and span.trace_id == row.trace_id]
        for row in arm.rows
    )
    drawn: dict[str | None, str] = {b.span_id: a.span_id for a, b in zip(mine, yours, strict=False)}
    arm.spans = [
        replace(
            span,
            span_id=drawn.get(span.span_id, span.span_id),
            parent_span_id=drawn.get(span.parent_span_id, span.parent_span_id),
        )
        for span in arm.spans
    ]
    arm.journal = [
        replace(row, parent_span_id=drawn.get(row.parent_span_id, row.parent_span_id)) for row in arm.journal
    ]
    finding = find("attempts-bounded", arm, limit=3)
    assert finding.holds is False
    assert finding.observed == 4
