"""Where the tail comes from: the split of a request's latency."""

from dataclasses import replace

import pytest

from harness import contract
from harness.analysis.tail import PARTS, body, split, tail
from tests.harness.histories import Arm, Try


def test_the_parts_of_every_request_add_up_to_its_latency() -> None:
    arm = Arm(containers=2, limit=1)
    arm.request(due_s=0.0, end_s=0.2)
    arm.request(due_s=0.1, sent_s=0.11, begin_s=0.15, wait_s=0.2, end_s=0.9, client="cold")
    arm.request(due_s=1.0, end_s=3.0, calls=[["overloaded", Try(at_s=2.0)]])
    for request in arm.history().requests:
        assert sum(split(request).values()) == pytest.approx(request.row.latency_s, abs=1e-6)


def test_time_in_a_containers_own_queue_is_waiting() -> None:
    arm = Arm()
    arm.request(due_s=0.0, wait_s=0.4, end_s=0.6)
    assert split(arm.history().requests[0])["waiting"] == pytest.approx(0.4)


def test_a_late_load_is_not_blamed_on_the_agent() -> None:
    arm = Arm()
    arm.request(due_s=0.0, sent_s=0.3, begin_s=0.3, end_s=0.5)
    assert split(arm.history().requests[0])["load"] == pytest.approx(0.3)


def test_work_after_the_answer_is_no_part_of_the_latency() -> None:
    arm = Arm()
    arm.request(due_s=0.0, end_s=0.5, after_s=2.0)
    (request,) = arm.history().requests
    assert len(request.attempts) == 2
    parts = split(request)
    assert sum(parts.values()) == pytest.approx(0.5)
    assert parts["model"] + parts["first token"] < 0.5


def test_what_no_span_tells_of_is_the_way_there() -> None:
    arm = Arm()
    arm.request(due_s=0.0, end_s=0.5, container=None)
    parts = split(arm.history().requests[0])
    assert parts["balancer"] == pytest.approx(0.5)
    assert sum(parts.values()) == pytest.approx(0.5)


def test_the_tail_is_that_of_the_slowest_and_the_body_that_of_all() -> None:
    arm = Arm()
    for number in range(199):
        arm.request(due_s=number * 0.1, end_s=number * 0.1 + 0.05)
    arm.request(due_s=50.0, wait_s=5.0, end_s=55.2)
    requests = arm.history().requests
    assert tail(requests)["waiting"] > 1.0
    assert body(requests)["waiting"] == pytest.approx(5.0 / 200)


def test_nothing_is_said_of_the_tail_of_a_few() -> None:
    arm = Arm()
    arm.request()
    assert tail(arm.history().requests) == {}
    assert body([]) == {}


def test_the_parts_come_in_the_order_of_a_request() -> None:
    arm = Arm()
    arm.request()
    assert tuple(split(arm.history().requests[0])) == PARTS


def test_first_tokens_are_told_apart_where_the_model_api_tells() -> None:
    arm = Arm()
    arm.request(due_s=0.0, end_s=1.0, calls=[[Try(at_s=0.1, lasted_s=0.8)]])
    arm.spans = [
        replace(span, attributes={contract.FIRST_CHUNK_S: 0.3})
        if span.service == contract.SERVICE_SIMULATOR
        else span
        for span in arm.spans
    ]
    parts = split(arm.history().requests[0])
    assert parts["first token"] == pytest.approx(0.3)
    assert parts["model"] == pytest.approx(0.5, abs=0.01)
