"""What causality says of the clocks of a fleet."""

from dataclasses import replace

import pytest

from harness import contract
from harness.analysis.clocks import clock_offsets
from tests.harness.histories import Arm, Try
from tests.mutations.hand import shifted


def busy() -> Arm:
    """Three containers at work, each with a model call in the middle of its request."""
    arm = Arm(containers=3)
    for number in range(30):
        due_s = 0.2 * number
        arm.request(
            due_s=due_s,
            begin_s=due_s + 0.002,
            end_s=due_s + 0.15,
            container=1 + number % 3,
            calls=[[Try(at_s=due_s + 0.02, lasted_s=0.1)]],
        )
    for number, span in enumerate(arm.spans):  # the answer is out a moment before the caller has it
        if span.name == "POST /invocations" and span.kind == "server":
            arm.spans[number] = replace(span, end_ns=span.end_ns - 2_000_000)
    return arm


def skewed(arm: Arm, by_s: float, *names: str) -> Arm:
    """Move the clocks of some containers."""
    by_ns = round(by_s * 1e9)
    arm.spans = [shifted(span, by_ns) if span.instance in names else span for span in arm.spans]
    return arm


def clocks(arm: Arm) -> dict[str, float]:
    return clock_offsets(arm.history().requests)


def test_clocks_that_agree_are_not_told_of() -> None:
    assert clocks(busy()) == {}


@pytest.mark.parametrize("by_s", [0.4, -0.4, 0.02, -0.02, 3600.0])
def test_a_clock_that_differs_is_told_with_its_offset(by_s: float) -> None:
    found = clocks(skewed(busy(), by_s, "agent-2"))
    assert found == {"agent-2": pytest.approx(by_s, abs=0.005)}
    assert abs(found["agent-2"]) <= abs(by_s) + 1e-6, "at the least"


@pytest.mark.parametrize("by_s", [0.005, -0.005])
def test_what_is_within_the_routing_delay_does_no_harm(by_s: float) -> None:
    assert clocks(skewed(busy(), by_s, "agent-1", "agent-2", "agent-3")) == {}


def test_all_containers_may_differ() -> None:
    assert set(clocks(skewed(busy(), 0.4, "agent-1", "agent-2", "agent-3"))) == {
        "agent-1",
        "agent-2",
        "agent-3",
    }


@pytest.mark.parametrize("by_s", [0.4, -0.4])
def test_the_journal_s_clock_is_told_and_no_agent_is_blamed_for_it(by_s: float) -> None:
    arm = busy()
    arm.journal = [replace(row, time_s=row.time_s + by_s, end_s=row.end_s + by_s) for row in arm.journal]
    assert clocks(arm) == {"model-api": pytest.approx(by_s, abs=0.035)}


def test_work_that_goes_on_after_the_answer_is_no_clock() -> None:
    arm = busy()
    arm.spans = [
        replace(span, end_ns=span.end_ns + 300_000_000)
        if span.name == "POST /invocations" and span.kind == "server" and span.of_agent
        else span
        for span in arm.spans
    ]
    assert clocks(arm) == {}
    assert clocks(skewed(arm, 0.4, "agent-1")) == {"agent-1": pytest.approx(0.4, abs=0.005)}


@pytest.mark.parametrize("by_s", [0.4, -0.4])
def test_server_spans_alone_tell_as_well(by_s: float) -> None:
    arm = busy()
    arm.spans = [span for span in arm.spans if not (span.of_agent and span.name != "POST /invocations")]
    assert clocks(skewed(arm, by_s, "agent-1")) == {"agent-1": pytest.approx(by_s, abs=0.005)}
    arm.journal = []
    assert clocks(arm) == {"agent-1": pytest.approx(by_s, abs=0.005)}


def test_a_wait_in_the_balancer_is_no_clock() -> None:
    arm = Arm()
    for number in range(20):
        arm.request(due_s=0.1 * number, begin_s=0.1 * number + 0.5, end_s=0.1 * number + 0.6)
    assert clocks(arm) == {}


def test_one_late_span_among_many_is_no_clock() -> None:
    arm = busy()
    server = next(n for n, span in enumerate(arm.spans) if span.kind == "server" and span.of_agent)
    arm.spans[server] = replace(arm.spans[server], end_ns=arm.spans[server].end_ns + 30_000_000)
    assert clocks(arm) == {}


def test_without_spans_nothing_is_told() -> None:
    assert clock_offsets([]) == {}


def test_the_clocks_that_differ_most_are_named_and_the_others_counted() -> None:
    arm = busy()
    assert arm.history().clocks_told is None
    for number, by_s in ((1, 0.1), (2, -0.4), (3, 0.2)):
        skewed(arm, by_s, f"agent-{number}")
    said = arm.history().clocks_told
    assert said is not None
    assert said.startswith(
        "clocks differ: agent-2 is at least 0.398 s behind the caller, agent-3 is at least "
    )
    assert said.endswith(" ahead of the caller and 1 more; set them by one source")


def test_an_attempt_that_is_told_twice_is_no_clock() -> None:
    arm = busy()
    arm.journal += [replace(row, time_s=row.time_s + 0.3, end_s=row.end_s + 0.3) for row in arm.journal]
    assert clocks(arm) == {}


def test_a_balancer_whose_clock_is_behind_is_found() -> None:
    arm = skewed(busy(), -0.3, contract.SERVICE_ENVOY)
    assert clock_offsets(arm.history().requests) == {contract.SERVICE_ENVOY: pytest.approx(-0.3, abs=0.01)}
