from dataclasses import replace

import pytest

from tests.harness.histories import Arm
from tests.harness.judge.cases import find


def refused(arm: Arm, at_s: float) -> str:
    return arm.request(
        due_s=at_s - 0.002, end_s=at_s, container=None, refused_by=[1], status=503, error="busy"
    )


def test_without_a_server_span_nothing_is_known() -> None:
    arm = Arm()
    refused(arm, 1.0)
    assert find("no-503-while-idle", arm).holds is None
    assert find("no-503-while-idle", Arm()).holds is None


def test_a_refusal_while_all_work_holds() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=0.0, end_s=2.0, container=1)
    arm.request(due_s=0.0, end_s=2.0, container=2)
    refused(arm, 1.0)
    finding = find("no-503-while-idle", arm)
    assert finding.holds
    assert finding.message.startswith("1 of 3 requests were refused")


def test_a_refusal_beside_an_idle_container_is_found() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=0.0, end_s=2.0, container=1)
    needless = refused(arm, 1.0)
    finding = find("no-503-while-idle", arm)
    assert finding.holds is False
    assert (finding.observed, finding.traces) == (1.0, (needless,))


@pytest.mark.parametrize(("free_since_s", "holds"), [(0.995, True), (0.98, False)])
def test_a_slot_that_has_just_become_free_is_not_idle_yet(free_since_s: float, *, holds: bool) -> None:
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=free_since_s)
    refused(arm, 1.0)
    assert find("no-503-while-idle", arm).holds is holds


def test_a_container_whose_work_goes_on_after_the_answer_is_not_idle() -> None:
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=0.5, after_s=1.0)
    refused(arm, 1.0)
    assert find("no-503-while-idle", arm).holds


@pytest.mark.parametrize("moved", [{"joined_s": 1.5}, {"left_s": 0.5}])
def test_a_container_that_is_not_in_the_list_idles_in_vain(moved: dict[str, float]) -> None:
    arm = Arm(containers=2)
    arm.moved(2, **moved)
    arm.request(due_s=0.0, end_s=3.0, container=1)
    refused(arm, 1.0)
    assert find("no-503-while-idle", arm).holds


def test_a_503_after_work_is_no_refusal() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=0.0, end_s=1.0, status=503, error="the model is not available")
    assert find("no-503-while-idle", arm).holds


def test_a_refusal_with_a_span_of_a_middleware_is_one() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=0.0, end_s=2.0, container=1)
    needless = refused(arm, 1.0)
    (server,) = [span for span in arm.spans if span.trace_id == needless and span.of_agent]
    arm.spans.append(replace(server, span_id="a" * 16, parent_span_id=server.span_id, kind="internal"))
    assert find("no-503-while-idle", arm).traces == (needless,)


def test_a_503_after_a_call_below_a_middleware_is_no_refusal() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=0.0, end_s=2.0, container=1)
    tried = refused(arm, 1.0)
    (server,) = [span for span in arm.spans if span.trace_id == tried and span.of_agent]
    inner = replace(server, span_id="a" * 16, parent_span_id=server.span_id, kind="internal")
    arm.spans += [inner, replace(inner, span_id="b" * 16, parent_span_id=inner.span_id, kind="client")]
    assert find("no-503-while-idle", arm).holds
