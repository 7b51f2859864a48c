from dataclasses import replace

import pytest

from harness import contract
from harness.judge.evidence import INIT_SPANS, TOOL_INIT_SPANS
from harness.records.setup import Container
from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def warmed(containers: int = 2) -> Arm:
    arm = Arm(containers=containers)
    for container in range(1, containers + 1):
        arm.request(container=container, client="cold")
        arm.init("llm", container)
        arm.init("mcp", container)
    return arm


def test_one_init_per_client_and_container_holds() -> None:
    finding = find("init-once", warmed())
    assert finding.holds
    assert finding.observed == 1
    assert "llm 2, mcp 2" in finding.message


def test_a_second_init_in_one_container_is_found_with_its_trace() -> None:
    arm = warmed()
    again = arm.request(container=1)
    arm.init("mcp", 1)
    finding = find("init-once", arm)
    assert finding.holds is False
    assert finding.observed == 2
    assert again in finding.traces


def test_the_same_number_in_sum_but_in_the_wrong_places_is_found() -> None:
    arm = Arm(containers=2)
    arm.request(container=1)
    arm.init("llm", 1)
    arm.init("llm", 1)
    arm.request(container=2)
    finding = find("init-once", arm)
    assert finding.holds is False
    assert "none seen of llm in agent-2" in finding.message


def test_a_client_that_one_container_alone_needed_is_missing_nowhere() -> None:
    arm = warmed()
    arm.spans = [span for span in arm.spans if (span.name, span.instance) != ("client.init mcp", "agent-2")]
    finding = find("init-once", arm)
    assert finding.holds
    assert "none seen of mcp in agent-2, which may have needed none" in finding.message


def test_a_container_that_tells_of_no_client_is_no_tested_case() -> None:
    arm = warmed()
    for container in (1, 2, 2, 2):
        arm.request(container=container)
    arm.spans = [
        span for span in arm.spans if not (span.name.startswith("client.init") and span.instance == "agent-2")
    ]
    assert find("init-once", arm).cases == 1


def test_a_container_that_got_no_request_needs_no_client() -> None:
    arm = warmed(2)
    idle = Container(name="agent-3", address="127.0.0.1:9003")
    arm.set(containers=(*arm.facts.containers, idle))
    assert find("init-once", arm).holds


def test_rebuilding_a_broken_client_is_no_second_first_build() -> None:
    arm = warmed()
    arm.request()
    arm.init("mcp", 1, state="reinit")
    assert find("init-once", arm).holds


def test_a_build_that_failed_may_be_tried_again() -> None:
    arm = warmed()
    arm.init("llm", 1, failed=True)
    assert find("init-once", arm).holds


def built_nowhere(arm: Arm, times: int) -> Arm:
    """Add builds of a client in traces of their own, by a process that says nothing of itself."""
    for number in range(times):
        arm.init("mcp", trace=f"{number + 1:031x}e")
        arm.spans[-1] = replace(arm.spans[-1], instance=None)
    return arm


def test_more_builds_than_there_are_containers_are_too_many_whosever_they_are() -> None:
    arm = warmed(2)
    arm.spans = [span for span in arm.spans if span.name != "client.init mcp"]
    assert find("init-once", built_nowhere(arm, 2)).holds
    finding = find("init-once", built_nowhere(arm, 3))
    assert finding.holds is False
    assert finding.observed == 3
    assert "5 more of which no container is known" in finding.message
    assert finding.traces


@pytest.mark.parametrize(("names", "holds"), [(8, True), (9, None)])
def test_a_client_that_is_built_under_a_name_of_its_own_each_time_is_not_known_to_be_built_once(
    names: int, *, holds: bool | None
) -> None:
    arm = warmed()
    for number in range(names):
        arm.init(f"llm-{number}", 1)
    finding = find("init-once", arm)
    assert finding.holds is holds
    assert ("9 clients of one have names that no other has" in finding.message) == (holds is None)


def test_only_failed_builds_tell_nothing() -> None:
    arm = Arm()
    arm.request()
    arm.init("llm", 1, failed=True)
    assert find("init-once", arm).holds is None


def bare(arm: Arm, *, state: str | None = None) -> Arm:
    """Let spans of builds say no more than their name does, and perhaps a state that there is none of."""
    told = {} if state is None else {contract.CLIENT_INIT_STATE: state}
    arm.spans = [
        replace(span, attributes=told) if span.name.startswith(contract.SPAN_CLIENT_INIT) else span
        for span in arm.spans
    ]
    return arm


@pytest.mark.parametrize("state", [None, "COLD", ""])
def test_a_span_that_has_a_name_alone_is_of_a_first_build_of_that_client(state: str | None) -> None:
    finding = find("init-once", bare(warmed(), state=state))
    assert finding.holds
    assert "llm 2, mcp 2" in finding.message
    arm = warmed()
    arm.request(container=1)
    arm.init("mcp", 1)
    assert find("init-once", bare(arm, state=state)).holds is False


def test_who_follows_the_advice_to_name_a_span_is_asked_for_no_more() -> None:
    history = bare(warmed()).history()
    assert INIT_SPANS.present(history)
    assert TOOL_INIT_SPANS.present(history)
