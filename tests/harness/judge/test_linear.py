"""What judging takes grows with what is judged, and no faster: counted in steps of Python, not in seconds.

What the interpreter does in one step, such as sorting or copying a slice, is one step here.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from harness.analysis.join import join
from harness.analysis.occupancy import occupancy
from harness.analysis.series import series
from harness.analysis.summary import summarise
from harness.judge.case import Case
from harness.judge.invariants import REGISTRY
from harness.records.history import ArmHistory
from harness.records.setup import FleetEvent, Window
from tests.harness.histories import BEGIN_S, Arm, Try

FEW, MANY = 160, 640
LINEAR = 1.35
"""Steps may grow so many times as much as requests do: n log n is 1.27 between these two sizes."""


def steps(work: Callable[[], Any]) -> int:
    """Count the steps of the interpreter that some work takes.

    From Python 3.12 on they are asked for by `sys.monitoring`: there `settrace` told of none the second time.
    """
    count = _traced if sys.version_info < (3, 12) else _monitored
    taken = count(work)
    assert taken, "no step was seen: nothing is counted"
    return taken


def _monitored(work: Callable[[], Any]) -> int:
    taken, seen = 0, sys.monitoring
    mine, step = seen.PROFILER_ID, seen.events.INSTRUCTION

    def each(_code: object, _offset: int) -> None:
        nonlocal taken
        taken += 1

    seen.use_tool_id(mine, "steps")
    seen.register_callback(mine, step, each)
    seen.set_events(mine, step)
    try:
        work()
    finally:
        seen.set_events(mine, 0)
        seen.register_callback(mine, step, None)
        seen.free_tool_id(mine)
    return taken


def _traced(work: Callable[[], Any]) -> int:
    taken = 0

    def each(frame: FrameType, event: str, _argument: Any) -> Callable[..., Any]:
        nonlocal taken
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        taken += event == "opcode"
        return each

    before = sys.gettrace()
    sys.settrace(each)
    try:
        work()
    finally:
        sys.settrace(before)
    return taken


def arm(requests: int) -> Arm:
    """Return an arm in which each check has something to look at, as long as it has requests."""
    made = Arm(containers=3, limit=1)
    for number in range(requests):
        at_s, kind = number * 0.1, number % 8
        calls: list[list[str | Try]] = [["overloaded", "ok"] if kind == 3 else ["ok"]]
        if kind == 7:  # refused, while one or two work
            made.request(
                due_s=at_s, end_s=at_s + 0.05, container=None, refused_by=[1], status=503, error="busy"
            )
        elif kind == 5:
            made.request(due_s=at_s, end_s=at_s + 0.1, status=500, error="it broke", calls=[["bad_request"]])
        else:
            made.request(due_s=at_s, end_s=at_s + 0.25, container=1 + number % 3, calls=calls)
        word = f"word-{number}"
        session = [f"word-{each}" for each in range(number - number % 4, number + 1)]
        made.change(session_id=f"session-{number // 4}", canary=word, recalled=tuple(session))
        made.ping(at_s + 0.05, busy=True, container=1 + number % 3)
        if number % 16 == 0:
            made.init(container=1 + number % 3)
            made.stray()
    made.set(
        quota_rps=100.0,
        quota_burst=50.0,
        events=(FleetEvent(time_s=BEGIN_S + 1.0, action="kill", container="agent-1"),),
        windows=(
            Window(kind="phase", name="steady", from_s=0.0, to_s=requests * 0.1),
            Window(kind="fault", name="overloaded", from_s=1.0, to_s=2.0),
        ),
    )
    return made


@pytest.fixture(scope="module")
def histories() -> tuple[ArmHistory, ArmHistory]:
    few, many = arm(FEW).history(), arm(MANY).history()
    assert (len(few.requests), len(many.requests)) == (FEW, MANY)
    return few, many


def test_steps_of_nested_loops_are_seen_to_grow_faster() -> None:
    def nested(size: int) -> int:
        return steps(lambda: [one for one in range(size) for other in range(size)])

    assert nested(MANY) / nested(FEW) > 2 * LINEAR * MANY / FEW


@pytest.mark.parametrize("look", [summarise, occupancy, lambda history: series(history, [])])
def test_figures_and_pictures_take_steps_in_proportion(
    histories: tuple[ArmHistory, ArmHistory], look: Callable[[ArmHistory], object]
) -> None:
    few, many = (steps(lambda history=history: look(history)) for history in histories)
    assert many / few <= LINEAR * MANY / FEW


def test_joining_takes_steps_in_proportion() -> None:
    few, many = (steps(lambda data=data: join(data)) for data in (arm(FEW).data(), arm(MANY).data()))
    assert many / few <= LINEAR * MANY / FEW


@pytest.mark.parametrize("name", REGISTRY)
def test_each_check_takes_steps_in_proportion(histories: tuple[ArmHistory, ArmHistory], name: str) -> None:
    invariant = REGISTRY[name]

    def look(history: ArmHistory) -> None:
        summary = summarise(history)
        taken.append(
            steps(
                lambda: invariant.examine(
                    Case(history=history, summary=summary, versus=summary, limit=invariant.limit)
                )
            )
        )

    taken: list[int] = []
    for history in histories:
        look(history)
    few, many = taken
    assert many / few <= LINEAR * MANY / FEW
