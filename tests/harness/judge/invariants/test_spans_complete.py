import pytest

from tests.harness.histories import Arm, Try
from tests.harness.judge.cases import find


def test_whole_traces_hold() -> None:
    arm = Arm()
    arm.request(refused_by=[2], calls=[["overloaded", "ok"], ["ok"]])
    finding = find("spans-complete", arm)
    assert finding.holds
    assert finding.observed == 0


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("locust", "the client's span"),
        ("envoy", "the balancer's span"),
        ("POST /invocations", "the agent's server span"),
        ("invoke_agent", "invoke_agent"),
        ("chat model", "a model attempt"),
        ("model-api", "the model API's span"),
    ],
)
def test_each_part_that_is_missing_is_named_with_its_trace(lost: str, said: str) -> None:
    arm = Arm()
    arm.request()
    broken = arm.request(without=[lost])
    finding = find("spans-complete", arm)
    assert finding.holds is False
    assert finding.observed == 0.5
    assert finding.traces == (broken,)
    assert said in finding.message


def test_a_success_without_a_model_call_is_incomplete() -> None:
    arm = Arm()
    arm.request(calls=[])
    assert "a model attempt" in find("spans-complete", arm).message


def test_an_orphan_is_found_also_below_a_failure() -> None:
    arm = Arm()
    arm.request()
    broken = arm.request(status=502, error="the model refused", without=["invoke_agent"])
    finding = find("spans-complete", arm)
    assert finding.traces == (broken,)
    assert "the parent of chat model" in finding.message


def test_a_failure_needs_no_further_parts() -> None:
    arm = Arm()
    arm.request()
    arm.request(status=503, error="busy", container=None, refused_by=[1, 2])
    assert find("spans-complete", arm).holds


def test_an_arm_without_any_span_is_unknown() -> None:
    arm = Arm()
    arm.request(calls=[[Try(unseen=True)]], without=["locust", "envoy", "agent", "model-api"])
    finding = find("spans-complete", arm)
    assert finding.holds is None
    assert "no span was seen at all" in finding.message


def test_work_after_the_answer_belongs_to_a_whole_trace() -> None:
    arm = Arm()
    arm.request(after_s=0.3)
    assert find("spans-complete", arm).holds
    assert find("attempts-agree", arm).holds


@pytest.mark.parametrize("lost", [2, 3])
@pytest.mark.parametrize(
    ("kind", "said"),
    [("client", "a model attempt that was received"), ("server", "the model API's span of an attempt")],
)
def test_each_attempt_that_was_received_has_its_spans(lost: int, kind: str, said: str) -> None:
    arm = Arm()
    arm.request()
    broken = arm.request(calls=[["overloaded", "overloaded", "ok"]])
    its = [
        span
        for span in arm.spans
        if span.trace_id == broken and span.kind == kind and span.name in {"POST", "chat model"}
    ]
    attempts = [span for span in its if span.name == "POST" or span.service == "model-api"]
    assert len(attempts) == 3
    arm.spans = [span for span in arm.spans if span not in attempts[lost - 1 :]]
    finding = find("spans-complete", arm)
    assert finding.holds is False
    assert finding.traces == (broken,)
    assert said in finding.message


def test_the_attempts_of_a_request_that_failed_have_their_spans_too() -> None:
    arm = Arm()
    arm.request()
    broken = arm.request(
        status=502, error="no", calls=[["overloaded", Try(decision="overloaded", unseen=True)]]
    )
    assert find("spans-complete", arm).traces == (broken,)


def test_a_model_attempt_of_no_request_is_in_no_trace() -> None:
    arm = Arm()
    arm.request()
    arm.stray("c" * 32)
    finding = find("spans-complete", arm)
    assert finding.holds is False
    assert "1 model attempts that were received are in the trace of no request" in finding.message
