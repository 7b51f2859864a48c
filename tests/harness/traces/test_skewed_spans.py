"""What Jaeger would take for a skewed clock is counted as Jaeger does."""

from typing import Any

import pytest

from harness.traces.store import trace_of
from tests.harness.traces.some import BEGIN_NS, span
from tests.proof.skewed_spans import skewed

ROOT_NS = BEGIN_NS + 1_000_000_000 + 1_000_000
"""When the root of trace 1 begins; it takes 100 ms."""


def child(from_ms: float, took_ms: float, **more: Any) -> Any:
    begin_ns = ROOT_NS + round(from_ms * 1e6)
    own = span(1, 2, "child", took_ms, **more)
    own.start_ns, own.end_ns = begin_ns, begin_ns + round(took_ms * 1e6)
    return own


@pytest.mark.parametrize(
    ("from_ms", "took_ms", "by_us"),
    [
        (0, 100, None),
        (10, 50, None),
        (60, 40.001, 1.0),  # it ends after its parent
        (-0.002, 50, 2.0),  # it begins before it
        (20, 120, None),  # it is longer: Jaeger takes it for one that nobody waits for
        (-3, 120, 3000.0),
    ],
)
def test_a_span_that_does_not_lie_within_its_parent_is_warned_of(
    from_ms: float, took_ms: float, by_us: float | None
) -> None:
    found = skewed([child(from_ms, took_ms), span(1, 1, "root", 100.0)])
    assert len(found.warned) == found.outside.total() == (by_us is not None)
    if by_us is not None:
        assert found.lines()[1] == f"  1 agent child outside of agent root, by {by_us:.1f} µs at most"


def test_traces_are_counted_once_and_a_parent_that_is_not_there_is_told() -> None:
    calm = [span(2, 1, "root", 100.0), span(2, 2)]
    lost = [span(3, 1, "root", 100.0), span(3, 2, "lost", parent_span_id="f" * 16)]
    twice = [span(1, 1, "root", 100.0), child(90, 20), child(90, 20)]
    found = skewed([*calm, *lost, *twice])
    assert (found.traces, found.spans) == (3, 6)
    assert found.warned == {trace_of(lost).trace_id, trace_of(twice).trace_id}
    assert found.orphans == {"agent lost": 1}
    assert found.lines()[0] == (
        "6 spans in 3 traces: 2 traces with a warning (1 spans of a skewed clock, 1 without their parent); "
        "1 spans outside of their parents"
    )


@pytest.mark.parametrize(
    ("of_parent", "of_child", "warned"),
    [("127.0.0.1", "127.0.0.1", 0), ("127.0.0.1", "10.0.0.1", 1), ("127.0.0.1", None, 1), ("", "", 1)],
)
def test_of_two_processes_that_tell_one_machine_none_is_skewed(
    of_parent: str, of_child: str | None, warned: int
) -> None:
    where = {"ip": of_child} if of_child is not None else {}
    found = skewed([span(1, 1, "root", 100.0, resource={"ip": of_parent}), child(90, 20, resource=where)])
    assert (len(found.warned), found.skewed) == (warned, warned)
    assert found.outside.total() == 1
