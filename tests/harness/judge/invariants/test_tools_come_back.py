"""After weather of the tool server: requests that are answered without a tool that they need."""

import pytest

from harness import contract
from harness.records.setup import Window
from tests.harness.histories import BEGIN_S, Arm, _Trace
from tests.harness.judge.cases import judged

CHECK = "tools-come-back"
TOOLS = {contract.OPERATION: "execute_tool"}


def weather(name: str, from_s: float, to_s: float, container: str | None = None) -> Window:
    return Window(kind="weather", name=name, from_s=from_s, to_s=to_s, container=container)


def asked(
    arm: Arm,
    due_s: float,
    *,
    tool: bool = True,
    failed: bool = False,
    status: int = 200,
    container: int = 1,
    took_s: float = 0.1,
) -> str:
    """A request with a call of a tool, of which the tool server tells by a span."""
    error = None if status == 200 else "overloaded"
    trace = arm.request(due_s=due_s, end_s=due_s + took_s, status=status, error=error, container=container)
    if tool:
        at = (due_s + 0.02, due_s + 0.03)
        of = _Trace(arm, arm.rows[-1].trace_id, ())
        of.span("tools/call search", "server", contract.SERVICE_MCP, at, None, attributes=TOOLS, error=failed)
    return trace


def shaken(*, after: int = 30, before: int = 10, needed: bool = True) -> Arm:
    """Requests before weather from 10 to 12 s, and after it."""
    arm = Arm(containers=2, limit=8)
    arm.set(windows=(weather("round_robin (tools)", 10.0, 12.0), weather("stall (model)", 60.0, 61.0)))
    for number in range(before):
        asked(arm, number * 0.5, tool=needed)
    for number in range(after):
        asked(arm, 12.5 + number / 2)
    return arm


def test_tools_that_come_back_soon_hold() -> None:
    arm = shaken()
    asked(arm, 11.0, tool=False)
    asked(arm, 13.0, failed=True)
    finding = judged(CHECK, arm)
    assert finding.holds
    assert finding.observed == pytest.approx(1.0)
    assert finding.cases == 20  # of 31, the others came before all had to be well


@pytest.mark.parametrize("how", [{"tool": False}, {"failed": True}])
def test_an_answer_without_a_result_of_a_tool_long_after_the_weather_is_found(how: dict[str, bool]) -> None:
    arm = shaken()
    trace = asked(arm, 20.0, **how)
    finding = judged(CHECK, arm)
    assert finding.holds is False
    assert finding.observed == pytest.approx(8.0)
    assert finding.traces == (trace,)


def test_a_request_that_fails_is_no_answer_without_a_tool() -> None:
    arm = shaken()
    asked(arm, 20.0, tool=False, status=503)
    assert judged(CHECK, arm).holds


@pytest.mark.parametrize(("took_s", "holds"), [(0.1, False), (1.0, True)])
def test_who_is_in_work_when_it_begins_again_tells_nothing(took_s: float, *, holds: bool) -> None:
    arm = shaken(after=100)
    arm.set(windows=(weather("stall (tools)", 10.0, 12.0), weather("stall (tools)", 20.0, 21.0)))
    asked(arm, 19.5, tool=False, took_s=took_s)
    assert judged(CHECK, arm).holds is holds


def test_of_weather_of_one_container_the_others_tell_nothing() -> None:
    arm = shaken()
    arm.set(windows=(weather("round_robin (tools)", 10.0, 12.0, "agent-2"),))
    asked(arm, 20.0, tool=False)
    finding = judged(CHECK, arm)
    assert finding.holds is None
    assert finding.cases == 0


@pytest.mark.parametrize(
    "arm",
    [shaken(after=17), shaken(before=0), shaken(needed=False), Arm()],
    ids=["few", "none", "no", "empty"],
)
def test_where_no_tool_was_needed_or_little_came_after_it_nothing_is_known(arm: Arm) -> None:
    assert judged(CHECK, arm).holds is None


def test_weather_elsewhere_is_not_the_tool_servers() -> None:
    arm = shaken()
    arm.set(windows=(weather("stall (model)", 10.0, 12.0), weather("read_only", 10.0, 12.0)))
    asked(arm, 20.0, tool=False)
    assert judged(CHECK, arm).holds is None
    assert arm.facts.start_s == BEGIN_S
