from dataclasses import replace

import pytest

from tests.harness.histories import Arm
from tests.harness.judge.cases import find, judged


def warmed(requests: int = 100, containers: int = 1) -> Arm:
    arm = Arm(containers=containers)
    arm.request(client="cold")
    arm.init("llm")
    arm.init("mcp")
    for number in range(requests - 1):
        arm.request(due_s=1.0 + number)
    return arm


def again(arm: Arm, client: str, at_s: float, reason: str = "broken") -> str:
    trace = arm.request(due_s=at_s)
    arm.init(client, state="reinit", reason=reason, at_s=at_s)
    return trace


def test_clients_that_are_built_once_hold() -> None:
    finding = judged("reinits-explained", warmed())
    assert finding.holds
    assert finding.message == "2 first builds, 0 later ones: 0 of these without a cause"


@pytest.mark.parametrize("reason", ["broken", "expired", "first_use"])
def test_a_client_that_is_built_again_for_nothing_is_found_whatever_it_says(reason: str) -> None:
    arm = warmed()
    needless = [again(arm, "mcp", at_s, reason) for at_s in (51.0, 101.0)]
    finding = judged("reinits-explained", arm)
    assert finding.holds is False
    assert finding.observed == 2
    assert finding.traces == tuple(needless)
    assert f"2 later ones (mcp 2; {reason} 2)" in finding.message


def test_a_container_that_had_nothing_to_do_for_long_may_renew_its_clients_once() -> None:
    """It was frozen, or restored from a snapshot, or idle: connections and tokens are of another time."""
    arm = warmed()
    for client in ("llm", "mcp"):
        again(arm, client, 200.0, "expired")
    assert judged("reinits-explained", arm).holds
    needless = again(arm, "mcp", 205.0, "expired")
    assert judged("reinits-explained", arm).traces == (needless,)


@pytest.mark.parametrize(("at_s", "reason"), [(150.0, "expired"), (200.0, "broken")])
def test_no_break_of_a_minute_and_no_other_word_for_it_is_no_cause(at_s: float, reason: str) -> None:
    arm = warmed()
    again(arm, "mcp", at_s, reason)
    assert judged("reinits-explained", arm).holds is False


def test_a_request_that_is_in_work_for_long_is_no_silence() -> None:
    arm = warmed()
    arm.request(due_s=100.0, end_s=300.0)
    again(arm, "mcp", 200.0, "expired")
    assert judged("reinits-explained", arm).holds is False


def test_a_tool_client_whose_call_failed_may_be_built_again() -> None:
    arm = warmed()
    arm.span("execute_tool search", 99.5, 99.6, failed=True)
    again(arm, "mcp", 101.0)
    assert judged("reinits-explained", arm).holds


def test_a_call_that_was_made_once_more_with_the_new_client_had_failed() -> None:
    """The tool server had forgotten the session, and the caller is told of nothing."""
    arm = warmed()
    trace = arm.request(due_s=200.0)
    arm.span("MCP send tools/call search", 200.01, 200.02)
    arm.init("mcp", state="reinit", reason="broken", at_s=200.03)
    assert judged("reinits-explained", arm).traces == (trace,)  # it was not made once more
    arm.span("MCP send tools/call search", 201.0, 201.01)
    assert judged("reinits-explained", arm).holds


def test_a_build_that_failed_is_none_and_the_next_one_has_the_same_cause() -> None:
    arm = warmed()
    arm.request(due_s=200.0)
    arm.span("execute_tool search", 200.01, 200.02, failed=True)
    arm.init("mcp", state="reinit", reason="broken", at_s=200.1, failed=True)
    arm.request(due_s=201.0)
    arm.init("mcp", state="reinit", reason="broken", at_s=201.0)
    assert judged("reinits-explained", arm).holds
    assert judged("reinits-explained", arm).message.endswith("0 of these without a cause")
    needless = again(arm, "mcp", 202.0)
    assert judged("reinits-explained", arm).traces == (needless,)


def test_of_a_client_of_which_only_a_failed_build_was_seen_the_cause_is_looked_for_as_well() -> None:
    arm = Arm()
    trace = arm.request()
    arm.init("mcp", state="reinit", reason="broken", failed=True)
    assert judged("reinits-explained", arm).traces == (trace,)


def test_a_call_that_failed_in_another_container_is_no_cause() -> None:
    arm = warmed(containers=2)
    arm.request(due_s=99.4, end_s=99.7, container=2)
    arm.span("execute_tool search", 99.5, 99.6, failed=True, container=2)
    again(arm, "mcp", 101.0)
    assert judged("reinits-explained", arm).holds is False


def test_one_failure_is_the_cause_of_one_build() -> None:
    arm = warmed()
    arm.span("MCP send tools/call search", 99.5, 99.6, failed=True)
    again(arm, "mcp", 101.0)
    needless = again(arm, "mcp", 103.0)
    assert judged("reinits-explained", arm).traces == (needless,)


def test_a_model_client_whose_credentials_were_refused_may_be_built_again() -> None:
    arm = warmed()
    arm.request(due_s=100.0, calls=[["auth"]], status=502, error="refused")
    again(arm, "llm", 101.0, "expired")
    assert judged("reinits-explained", arm).holds
    again(arm, "mcp", 102.0)
    assert find("reinits-explained", arm).observed == 1


def test_a_first_build_of_another_kind_is_not_its_matter() -> None:
    arm = warmed()
    arm.init("llm", at_s=50.0)
    assert judged("reinits-explained", arm).holds


def test_a_failed_tool_call_is_a_cause_whatever_the_agent_s_service_is_called() -> None:
    arm = warmed()
    arm.span("execute_tool search", 99.5, 99.6, failed=True)
    again(arm, "mcp", 101.0)
    arm.spans = [replace(span, service="my-agent") if span.of_agent else span for span in arm.spans]
    assert judged("reinits-explained", arm).holds
