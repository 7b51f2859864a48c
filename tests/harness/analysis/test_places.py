"""Which container the spans of an agent come from, whatever its process calls itself."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.analysis.summary import summarise
from harness.records.seen import Attribute, Span
from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def fleet() -> Arm:
    """Two containers that work in turns, each with an agent and a client of its own."""
    arm = Arm()
    for number in range(12):
        arm.request(due_s=0.2 * number, container=1 + number % 2, client="warm" if number > 1 else "cold")
        if number < 2:
            arm.init("llm", 1 + number)
    return arm


def renamed(arm: Arm, name: Callable[[str], str | None], **resource: Callable[[str], Attribute]) -> Arm:
    """Let each container's spans have another instance name, and more in their resource."""

    def other(span: Span) -> Span:
        mine = span.instance or ""
        more = {key.replace("__", "."): told(mine) for key, told in resource.items()}
        return replace(span, instance=name(mine), resource={**span.resource, **more})

    arm.spans = [other(span) if span.of_agent else span for span in arm.spans]
    return arm


def containers(arm: Arm) -> list[str | None]:
    return [request.container for request in arm.history().requests]


def test_a_docker_id_is_the_container_whose_answers_its_spans_tell_of() -> None:
    arm = renamed(fleet(), lambda name: f"9f{name[-1]}3ab77c01e")
    history = arm.history()
    assert containers(arm) == ["agent-1", "agent-2"] * 6
    assert {span.instance for request in history.requests for span in request.spans if span.of_agent} == {
        "agent-1",
        "agent-2",
    }
    assert [span.instance for span in history.inits] == ["agent-1", "agent-2"]
    assert summarise(history).join_warnings == ()


def test_without_a_name_at_all_the_balancer_tells() -> None:
    arm = renamed(fleet(), lambda _: None, process__pid=lambda name: int(name[-1]))
    assert containers(arm) == ["agent-1", "agent-2"] * 6
    assert [span.instance for span in arm.history().inits] == ["agent-1", "agent-2"]


@pytest.mark.parametrize("key", ["server.port", "net.host.port"])
def test_where_the_balancer_names_none_the_server_s_port_tells(key: str) -> None:
    arm = renamed(fleet(), lambda name: f"pod-{name}")
    arm.rows = [replace(row, upstream=None) for row in arm.rows]
    assert containers(arm) == ["pod-agent-1", "pod-agent-2"] * 6
    arm.spans = [
        replace(span, attributes={**span.attributes, key: 9000 + int((span.instance or "")[-1])})
        if span.of_agent and span.kind == "server"
        else span
        for span in arm.spans
    ]
    assert containers(arm) == ["agent-1", "agent-2"] * 6


def test_one_name_for_two_containers_is_told_apart_by_what_else_their_resource_says() -> None:
    arm = renamed(fleet(), lambda _: "agent-1", host__name=lambda name: f"host-of-{name}")
    assert containers(arm) == ["agent-1", "agent-2"] * 6
    assert find("init-once", arm).holds
    (said,) = summarise(arm.history()).join_warnings
    assert "answers of agent-1 came from another container" in said


def test_one_name_for_two_containers_is_told_apart_by_request_where_nothing_else_does() -> None:
    arm = renamed(fleet(), lambda _: "agent-1")
    assert containers(arm) == ["agent-1", "agent-2"] * 6
    assert [span.instance for span in arm.history().inits] == ["agent-1", "agent-2"], "by their traces"
    assert find("init-once", arm).holds
    assert find("inflight-limit", arm).holds


def test_what_one_of_two_with_the_same_name_did_outside_of_requests_is_of_neither() -> None:
    arm = fleet()
    arm.spans = [span for span in arm.spans if not span.name.startswith("client.init")]
    arm.init("llm", 1, trace="d" * 32)
    arm.init("llm", 2, trace="e" * 32)
    renamed(arm, lambda _: "my-agent")
    assert [span.instance for span in arm.history().inits] == [None, None]
    assert find("init-once", arm).holds is None, "two builds, maybe one in each"


def test_the_name_of_another_container_is_believed_less_than_the_balancer() -> None:
    arm = renamed(fleet(), lambda name: "agent-2" if name == "agent-1" else "agent-1")
    assert containers(arm) == ["agent-1", "agent-2"] * 6
    (said,) = summarise(arm.history()).join_warnings
    assert "agent-1, agent-2" in said


def test_a_few_requests_of_which_two_sources_say_different_things_are_a_warning() -> None:
    arm = Arm()
    for number in range(30):
        arm.request(due_s=0.2 * number)
    arm.change(upstream="127.0.0.1:9002")
    history = arm.history()
    assert history.joins.elsewhere == 1
    assert history.requests[-1].container == "agent-1", "as its process is known to be"
    assert "1 of 30 requests the balancer names another container" in summarise(history).join_warnings[0]


def test_a_container_that_answered_nobody_has_the_spans_of_its_name() -> None:
    arm = fleet()
    arm.request(container=2, without=["POST /invocations"])
    arm.init("mcp", 2, trace="e" * 32)
    assert arm.history().inits[-1].instance == "agent-2"


def test_agents_that_count_for_themselves_have_an_agent_for_each_request() -> None:
    arm = Arm()
    for number in range(8):
        arm.request(container=1 + number % 2, agent_id=str(number // 2))
    assert find("fresh-agent", arm).holds
    arm.request(container=2, agent_id="3")
    assert find("fresh-agent", arm).holds is False


@pytest.mark.parametrize("upstream", ["127.0.0.1:9002", "10.0.0.7:9002", "[::1]:9002"])
def test_a_container_may_be_known_by_another_name_of_its_host(upstream: str) -> None:
    arm = Arm()
    arm.request(container=2, without=["agent"])
    arm.change(upstream=upstream)
    assert containers(arm) == ["agent-2"]


def test_a_port_that_several_have_tells_nothing() -> None:
    arm = Arm()
    arm.set(containers=tuple(replace(each, address=f"{each.name}:8080") for each in arm.facts.containers))
    arm.request(without=["agent"])
    arm.change(upstream="10.0.0.7:8080")
    assert containers(arm) == [None]
    arm.change(upstream="agent-2:8080")
    assert containers(arm) == ["agent-2"]
