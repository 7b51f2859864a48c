"""Spans by old conventions say the same as those by today's."""

from dataclasses import replace

import pytest

from harness import contract
from harness.records.seen import Span
from tests.harness.histories import Arm
from tests.harness.judge.cases import find

OLD = {contract.STATUS_CODE: "http.status_code", contract.METHOD: "http.method"}


def in_old_names(arm: Arm, *, as_text: bool = False) -> Arm:
    """Let the agent's spans have the names that were usual before."""

    def old(span: Span) -> Span:
        named = {OLD.get(key, key): value for key, value in span.attributes.items()}
        if as_text and "http.status_code" in named:
            named["http.status_code"] = str(named["http.status_code"])
        return replace(span, attributes=named)

    arm.spans = [old(span) if span.of_agent else span for span in arm.spans]
    return arm


def with_messages(arm: Arm, *, kind: bool = True) -> Arm:
    """Give each server span of the agent the spans that ASGI's instrumentation makes of its messages."""
    for span in [span for span in arm.spans if span.of_agent and span.kind == "server"]:
        for number, name in enumerate(("http receive", "http send", "http send")):
            told = {"asgi.event.type": "http.response.start"} if kind else {}
            arm.spans.append(
                replace(
                    span,
                    span_id=f"{span.span_id}{'abc'[number]}",
                    parent_span_id=span.span_id,
                    kind="internal",
                    name=f"{span.name} {name}",
                    attributes={**told, **span.attributes} if name == "http send" else told,
                )
            )
    return arm


def refusing() -> Arm:
    """One container is full, the other free, and one refuses each request before the other takes it."""
    arm = Arm(containers=3)
    for number in range(5):
        arm.request(due_s=1.0 * number, refused_by=[1, 2], container=3, calls=[["overloaded", "ok"]])
    arm.request(due_s=9.0, refused_by=[1, 2, 3], container=None, status=503, error="busy")
    return arm


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("messages", [False, True])
@pytest.mark.parametrize("kind", [False, True])
def test_a_refusal_is_no_work_in_old_names_and_with_spans_of_its_messages(
    *, as_text: bool, messages: bool, kind: bool
) -> None:
    arm = in_old_names(refusing(), as_text=as_text)
    if messages:
        with_messages(arm, kind=kind)
    requests = arm.history().requests
    assert [request.container for request in requests] == ["agent-3"] * 5 + [None]
    assert [len(request.attempts) for request in requests] == [2] * 5 + [0]


def test_a_refusal_is_found_needless_in_old_names() -> None:
    arm = Arm(containers=2)
    for number in range(4):
        arm.request(due_s=1.0 * number, end_s=1.0 * number + 0.5, container=1)
        arm.request(
            due_s=1.0 * number + 0.1, end_s=1.0 * number + 0.12, refused_by=[1], container=None, status=503
        )
    assert find("no-503-while-idle", arm).observed == 4
    assert find("no-503-while-idle", with_messages(in_old_names(arm))).observed == 4


def test_where_only_the_message_tells_the_status_it_counts() -> None:
    arm = with_messages(in_old_names(refusing()))
    arm.spans = [
        replace(span, attributes={}) if span.of_agent and span.kind == "server" else span
        for span in arm.spans
    ]
    assert [request.container for request in arm.history().requests] == ["agent-3"] * 5 + [None]


def test_work_that_ends_in_a_503_is_work() -> None:
    arm = Arm()
    arm.request(status=503, error="the model is down", calls=[["overloaded"] * 3])
    with_messages(in_old_names(arm))
    assert arm.history().requests[0].server is not None


def test_an_agent_may_call_itself_what_it_likes() -> None:
    arm = refusing()
    arm.spans = [replace(span, service="my-agent") if span.of_agent else span for span in arm.spans]
    requests = arm.history().requests
    assert [request.container for request in requests] == ["agent-3"] * 5 + [None]
    assert [len(request.attempts) for request in requests] == [2] * 5 + [0]


def test_a_service_below_the_agent_is_not_who_served() -> None:
    arm = Arm()
    arm.request(end_s=0.5)
    server = next(span for span in arm.spans if span.of_agent and span.kind == "server")
    below = replace(
        server,
        span_id="c" * 16,
        parent_span_id=server.span_id,
        service="vectors",
        instance="vectors-1",
        end_ns=server.end_ns + 10,
    )
    arm.spans.append(below)
    (request,) = arm.history().requests
    assert request.server is not None
    assert request.server.span_id == server.span_id


def test_a_span_without_a_parent_serves_as_well() -> None:
    arm = Arm()
    arm.request(container=2)
    arm.spans = [
        replace(span, parent_span_id=None) if span.of_agent and span.kind == "server" else span
        for span in arm.spans
    ]
    assert arm.history().requests[0].server is not None
