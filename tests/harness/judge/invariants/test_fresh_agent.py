from dataclasses import replace

import pytest

from harness import contract
from harness.judge.evidence import AGENT_IDS
from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def test_an_agent_per_request_holds() -> None:
    arm = Arm()
    arm.request()
    arm.request()
    finding = find("fresh-agent", arm)
    assert finding.holds
    assert finding.observed == 1


def test_one_agent_for_two_requests_is_found_with_both_traces() -> None:
    arm = Arm()
    arm.request()
    shared = [arm.request(agent_id="one"), arm.request(agent_id="one")]
    finding = find("fresh-agent", arm)
    assert finding.holds is False
    assert finding.observed == 2
    assert finding.traces == tuple(shared)


def test_the_agent_that_served_most_comes_first() -> None:
    arm = Arm()
    pair = [arm.request(agent_id="pair") for _ in range(2)]
    three = [arm.request(agent_id="three") for _ in range(3)]
    assert find("fresh-agent", arm).traces == (*three, *pair)


def test_invocations_without_the_attribute_tell_nothing() -> None:
    arm = Arm()
    arm.request(without=["invoke_agent"])
    assert find("fresh-agent", arm).holds is None


def test_numbers_that_each_process_of_a_container_counts_are_of_different_agents() -> None:
    arm = Arm()
    for number in range(6):
        arm.request(agent_id=str(number // 2))
    spans = [
        replace(span, resource={"process.pid": 100 + int(span.trace_id, 16) % 2}) if span.of_agent else span
        for span in arm.spans
    ]
    assert find("fresh-agent", arm).observed == 2
    arm.spans = spans
    assert find("fresh-agent", arm).observed == 1


@pytest.mark.parametrize("told", ["", None])
def test_an_id_that_says_nothing_was_not_told(told: str | None) -> None:
    arm = Arm(containers=1)
    for number in range(50):
        arm.request(due_s=number * 1.0)
    arm.spans = [
        replace(span, attributes={**span.attributes, contract.AGENT_ID: told})
        if contract.AGENT_ID in span.attributes
        else span
        for span in arm.spans
    ]
    assert find("fresh-agent", arm).holds is None
    assert not AGENT_IDS.present(arm.history())
