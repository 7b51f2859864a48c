from dataclasses import replace

import pytest

from harness.analysis.join import join
from tests.harness.histories import BEGIN_S, Arm


def test_a_request_is_joined_with_its_spans_and_its_model_calls() -> None:
    arm = Arm()
    trace = arm.request(calls=[["overloaded", "ok"], ["ok"]])
    other = arm.request(due_s=1.0)
    first, second = arm.history().requests
    assert {span.trace_id for span in first.spans} == {trace}
    assert [(row.call_id, row.decision) for row in first.journal] == [
        ("call-0", "overloaded"),
        ("call-1", "ok"),
        ("call-0", "ok"),
    ]
    assert [row.trace_id for row in second.journal] == [other]
    assert len(first.model_calls) == 2
    assert len(first.attempts) == 3
    assert len(first.invocations) == 1


def test_requests_come_in_the_order_of_the_plan_and_the_journal_by_arrival() -> None:
    arm = Arm()
    arm.request(due_s=1.0)
    arm.request(due_s=0.0)
    data = arm.data()
    history = join(replace(data, requests=data.requests[::-1]))
    assert [request.row.index for request in history.requests] == [0, 1]
    assert [row.time_s for row in history.journal] == sorted(row.time_s for row in data.journal)


def test_the_container_is_told_by_the_server_span() -> None:
    arm = Arm()
    arm.request(container=2)
    assert arm.history().requests[0].container == "agent-2"


def test_without_a_server_span_the_balancer_tells_the_container() -> None:
    arm = Arm()
    arm.request(container=2, without=["POST /invocations"])
    request = arm.history().requests[0]
    assert request.server is None
    assert request.container == "agent-2"


def test_a_refusal_at_the_limit_is_not_who_served() -> None:
    arm = Arm(containers=3)
    arm.request(refused_by=[1, 2], container=3)
    assert arm.history().requests[0].container == "agent-3"


def test_a_request_that_all_refused_was_served_by_none() -> None:
    arm = Arm(containers=2)
    arm.request(refused_by=[1, 2], container=None, status=503, error="busy")
    request = arm.history().requests[0]
    assert request.server is None
    assert request.taken_s is None
    assert request.wait_s == pytest.approx(0.1)


def test_a_503_after_work_was_served_nevertheless() -> None:
    arm = Arm()
    arm.request(status=503, error="the model is not available")
    request = arm.history().requests[0]
    assert request.server is not None
    assert request.container == "agent-1"


def test_of_two_that_worked_the_one_that_answered_counts() -> None:
    arm = Arm()
    arm.request(due_s=0.0, end_s=5.0, container=1)
    data = arm.data()
    dead = next(span for span in data.spans if span.kind == "server" and span.service == "agent")
    cut = replace(dead, span_id="a" * 16, instance="agent-2", attributes={}, end_ns=dead.end_ns + 10**9)
    assert join(replace(data, spans=(cut, *data.spans))).requests[0].container == "agent-1"


def test_waiting_inside_the_container_is_no_service() -> None:
    arm = Arm()
    arm.request(due_s=0.0, begin_s=0.01, wait_s=0.3, end_s=0.5)
    request = arm.history().requests[0]
    assert request.taken_s == pytest.approx(BEGIN_S + 0.31)
    assert request.wait_s == pytest.approx(0.31)
    assert request.service_s == pytest.approx(0.19)
    assert request.done_s == pytest.approx(BEGIN_S + 0.5)


def test_a_slot_is_free_when_the_work_after_the_answer_has_ended() -> None:
    arm = Arm()
    arm.request(due_s=0.0, begin_s=0.01, wait_s=0.3, end_s=0.5, after_s=0.4)
    request = arm.history().requests[0]
    assert request.service_s == pytest.approx(0.19)
    assert request.held_s == pytest.approx(0.59)
    assert request.done_s == pytest.approx(BEGIN_S + 0.9)


def test_a_request_that_no_container_worked_on_held_nothing() -> None:
    arm = Arm()
    arm.request(container=None, status=503, error="refused")
    assert arm.history().requests[0].held_s is None


def test_http_calls_that_are_no_model_calls_are_no_attempts() -> None:
    arm = Arm()
    arm.request()
    data = arm.data()
    attempt = next(span for span in data.spans if span.name == "POST" and span.service == "agent")
    invoked = next(span for span in data.spans if span.name.startswith("invoke_agent"))
    to_a_tool = replace(attempt, span_id="b" * 16, parent_span_id=invoked.span_id)
    history = join(replace(data, spans=(*data.spans, to_a_tool)))
    assert [span.span_id for span in history.requests[0].attempts] == [attempt.span_id]


def test_inits_are_kept_also_when_no_request_has_their_trace() -> None:
    arm = Arm()
    arm.request(client="cold")
    arm.init("llm")
    arm.init("mcp", trace="e" * 32)
    history = arm.history()
    assert [span.name for span in history.inits] == ["client.init llm", "client.init mcp"]
    assert history.requests[0].waited_for_init


def test_an_arm_without_a_request_joins_to_nothing() -> None:
    history = Arm().history()
    assert history.requests == ()
    assert history.herd.share is None


def test_a_model_call_without_a_trace_belongs_to_whose_canary_word_it_carries() -> None:
    arm = Arm()
    mine, other = arm.request(), arm.request()
    arm.rows[0] = replace(arm.rows[0], canary="CANARY-000000000001")
    arm.journal = [
        replace(row, trace_id="f" * 32, parent_span_id=None, canary="CANARY-000000000001")
        for row in arm.journal
        if row.trace_id == mine
    ] + [replace(row, canary="CANARY-000000000001") for row in arm.journal if row.trace_id == other]
    first, second = arm.history().requests
    assert [row.trace_id for row in first.journal] == [mine]
    assert [row.trace_id for row in second.journal] == [other], "a trace says more than a word"


def test_a_model_call_of_nobody_stays_nobodys() -> None:
    arm = Arm()
    arm.request()
    arm.journal = [replace(row, trace_id=None, parent_span_id=None) for row in arm.journal]
    (request,) = arm.history().requests
    assert request.journal == ()
    assert len(arm.history().journal) == 1
