import pytest

from harness.judge.evidence import missing
from harness.judge.invariants import REGISTRY
from harness.records.setup import Window
from tests.harness.histories import Arm
from tests.harness.judge.cases import find, judged


def opened(handshakes: int | None, *, told: int) -> Arm:
    arm = Arm(containers=2)
    for number in range(100):
        arm.request(due_s=float(number), container=1 + number % 2)
    for number in range(told):
        arm.init("mcp", 1 + number % 2, state="cold" if number < 2 else "reinit", failed=number == 2)
    if handshakes is not None:
        arm.handshakes(handshakes)
    return arm


def test_one_session_for_each_build_that_is_told_of_holds() -> None:
    finding = judged("handshakes-agree", opened(2, told=2))
    assert finding.holds
    assert (finding.observed, finding.cases) == (0, 98)


def test_later_builds_and_those_that_failed_count_as_well() -> None:
    assert judged("handshakes-agree", opened(4, told=4)).holds


def test_a_client_that_is_built_again_and_tells_nobody_is_found() -> None:
    finding = judged("handshakes-agree", opened(4, told=2))
    assert finding.holds is False
    assert finding.observed == 2
    assert "4 sessions were opened at the tool server, and 2 builds" in finding.message


def test_builds_that_reach_no_server_are_found() -> None:
    assert judged("handshakes-agree", opened(0, told=2)).holds is False


def test_a_run_in_which_the_server_was_not_asked_tells_nothing() -> None:
    finding = find("handshakes-agree", opened(None, told=2))
    assert finding.holds is None
    assert "was not asked" in finding.message


@pytest.mark.parametrize(("target", "known"), [("tools", None), ("model", False)])
def test_what_was_opened_in_weather_of_the_tool_server_is_not_known(
    target: str, *, known: bool | None
) -> None:
    arm = opened(2, told=3)
    arm.set(windows=(Window(kind="weather", name=f"reset ({target})", from_s=1.0, to_s=2.0),))
    assert find("handshakes-agree", arm).holds is known


def test_an_agent_without_tools_tells_nothing() -> None:
    assert find("handshakes-agree", opened(0, told=0)).holds is None


def test_without_a_span_of_the_tool_client_s_building_a_users_agent_is_not_asked() -> None:
    arm = opened(2, told=0)
    arm.init("llm")
    needs = REGISTRY["handshakes-agree"].needs
    lacking = missing(needs, arm.history())
    assert lacking is not None
    assert "`client.init mcp`" in lacking.add
    assert missing(needs, opened(2, told=2).history()) is None


def test_an_agent_of_which_no_span_came_hides_no_build() -> None:
    arm = opened(2, told=0)
    assert find("handshakes-agree", arm).holds is False
    arm.spans = [span for span in arm.spans if not span.of_agent]
    for control in (False, True):
        assert judged("handshakes-agree", arm, control=control).holds is None
