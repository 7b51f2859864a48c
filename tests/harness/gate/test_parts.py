"""The tail of each part of a request, and the reader of the spans of a fleet that is still up."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.capture.frames import Encoding, FrameWriter
from harness.clock import FakeClock
from harness.gate.blocks import TOOL_CALLS, Block, Side
from harness.gate.decide import GateVerdict, decide
from harness.gate.parts import OWN, SESSION, SPANS_WITHIN_S, SpanReader, part_figures
from harness.gate.result import scenario_result
from harness.records.outcome import Outcome
from tests.harness.capture import otlp
from tests.harness.gate.test_decide import blocks
from tests.harness.histories import Arm


def with_part(made: Sequence[Block], name: str, base: float, head: float) -> list[Block]:
    """Give each block the tail of a part, in ms."""
    return [
        replace(
            block,
            figures={**block.figures, name: (base if block.side is Side.BASE else head) + block.pair % 3},
        )
        for block in made
    ]


def test_twelve_ms_more_in_some_session_loads_are_named_by_their_part() -> None:
    decision = decide(with_part(blocks(16), SESSION.name, 3.0, 15.0))
    assert decision.verdict is GateVerdict.FAIL
    (reason,) = decision.reasons
    assert reason.startswith("steady: session p99 is 16.1 ms against base's 3.98, 2.35 times (between ")
    assert reason.endswith("with 5 ms added to both")


def test_a_part_that_is_a_millisecond_longer_is_fine_even_where_that_is_thrice() -> None:
    assert decide(with_part(blocks(), SESSION.name, 0.5, 1.5)).verdict is GateVerdict.PASS


def test_a_part_that_takes_no_time_is_no_missing_figure() -> None:
    made = [replace(block, figures={**block.figures, SESSION.name: 0.0}) for block in blocks()]
    assert decide(made).verdict is GateVerdict.PASS


def test_a_part_that_only_some_blocks_tell_of_is_unknown() -> None:
    told = with_part(blocks(), OWN.name, 3.0, 3.0)
    lacking = [*told[:-1], replace(told[-1], figures=blocks()[-1].figures)]
    decision = decide(lacking)
    assert decision.verdict is GateVerdict.UNKNOWN
    assert "agent's own p99 could not be compared: 1 of head" in decision.reasons[0]


def arm_of(requests: int) -> Arm:
    arm = Arm(limit=8)
    for number in range(requests):
        arm.request(due_s=number * 1.0, end_s=number + 0.1)
    return arm


def test_the_tails_are_those_of_the_successes_that_spans_tell_of() -> None:
    tails = part_figures(arm_of(120).history().requests)
    assert SESSION.name in tails
    assert tails[OWN.name] > 0
    assert tails[TOOL_CALLS.name] == 0
    assert part_figures(arm_of(99).history().requests) == {}
    assert part_figures([]) == {}


def test_where_spans_are_missing_there_are_no_tails() -> None:
    requests = arm_of(200).history().requests
    silent = [replace(request, server=None) for request in requests[:21]]
    assert part_figures([*silent, *requests[21:]]) == {}
    assert part_figures([*silent[:19], *requests[19:]]) != {}


def test_the_traces_behind_a_part_are_those_in_which_it_took_longest() -> None:
    decision = decide(with_part(blocks(16), SESSION.name, 3.0, 15.0))
    histories = {side: arm_of(120).history() for side in Side}
    result = scenario_result("steady", decision, histories, labels={side: side for side in Side}).result
    (check,) = [each for each in result.checks if each.verdict is Outcome.FAIL]
    assert check.id == "session-p99"
    assert len(check.traces) == 10


def server_span(trace: bytes) -> bytes:
    message = otlp.request()
    span = message.resource_spans[0].scope_spans[0].spans[0]
    span.trace_id, span.kind = trace, 2
    return message.SerializeToString()


class Late(FakeClock):
    """A clock during whose first sleep a span comes in."""

    def __init__(self, writer: FrameWriter, trace: bytes) -> None:
        super().__init__()
        self._comes = lambda: writer.append(0.0, Encoding.PROTOBUF, server_span(trace))

    def sleep(self, seconds: float) -> None:
        if not self.slept:
            self._comes()
        super().sleep(seconds)


FIRST, SECOND = b"a" * 16, b"b" * 16


def test_spans_are_waited_for_and_each_is_read_once(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path / "traces.raw")
    writer.append(0.0, Encoding.PROTOBUF, server_span(FIRST))
    clock = Late(writer, SECOND)
    reader = SpanReader(tmp_path / "traces.raw", clock)
    found = reader.of([FIRST.hex(), SECOND.hex()])
    assert [span.trace_id for span in found] == [FIRST.hex(), SECOND.hex()]
    assert len(clock.slept) == 1
    assert reader.of([FIRST.hex()]) == []


def test_an_agent_that_tells_nothing_is_waited_for_once(tmp_path: Path) -> None:
    clock = FakeClock()
    reader = SpanReader(tmp_path / "traces.raw", clock)
    assert reader.of([FIRST.hex()]) == []
    assert clock.monotonic() >= SPANS_WITHIN_S
    begun_s = clock.monotonic()
    assert reader.of([FIRST.hex()]) == []
    assert clock.monotonic() == begun_s


def test_the_spans_of_other_requests_do_not_count(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path / "traces.raw")
    writer.append(0.0, Encoding.PROTOBUF, server_span(SECOND))
    assert SpanReader(tmp_path / "traces.raw", FakeClock()).of([FIRST.hex()]) == []
