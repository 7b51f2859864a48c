import json
from pathlib import Path

import pytest

from harness.capture.frames import Encoding, FrameWriter
from harness.errors import InputError
from harness.traces.store import of_capture, of_run, trace_of
from tests.harness.traces.some import span, store


def test_spans_of_one_trace_come_in_any_order_and_twice() -> None:
    it = store(span(1, 2), span(2, 1), span(1, 1, "root", 50.0), span(1, 2))
    it.refresh()
    one, two = it.traces()
    assert [each.span_id[-1] for each in one.spans] == ["1", "2"]
    assert (one.root.name, one.duration_s, len(two.spans)) == ("root", 0.05, 1)


def test_a_trace_whose_root_is_not_there_has_its_first_span_as_one_and_a_circle_as_well() -> None:
    assert trace_of([span(1, 3), span(1, 2, "first")]).root.name == "first"
    circle = [span(1, 2, "a", parent_span_id=f"{3:016x}"), span(1, 3, "b", parent_span_id=f"{2:016x}")]
    assert trace_of(circle).root.name == "a"


def test_of_more_than_is_kept_the_oldest_are_dropped_and_counted() -> None:
    it = store(*(span(trace, number) for trace in range(1, 6) for number in (1, 2)), most_spans=6)
    it.refresh()
    assert [trace.trace_id[-1] for trace in it.traces()] == ["3", "4", "5"]
    assert it.dropped == 2
    assert it.find(f"{1:032x}") is None
    assert it.find(f"{4:032X}") is not None


REQUEST = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "agent"}}]},
            "scopeSpans": [
                {
                    "spans": [
                        {
                            "traceId": "0" * 31 + "7",
                            "spanId": "0" * 15 + "1",
                            "name": "work",
                            "startTimeUnixNano": "1000",
                            "endTimeUnixNano": "2000",
                        }
                    ]
                }
            ],
        }
    ]
}


def test_what_a_capture_goes_on_to_receive_is_there_when_it_is_asked_for(tmp_path: Path) -> None:
    it = of_capture(tmp_path / "traces.raw")
    it.refresh()
    assert list(it.traces()) == []
    raw = FrameWriter(tmp_path / "traces.raw")
    for _ in range(2):
        raw.append(1.0, Encoding.JSON, json.dumps(REQUEST).encode())
        it.refresh()
        assert [len(trace.spans) for trace in it.traces()] == [1]
    raw.close()


def test_the_traces_of_a_run_folder_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "spans.jsonl").write_text(json.dumps(REQUEST) + "\n")
    it = of_run(tmp_path)
    it.refresh()
    it.refresh()
    assert [trace.root.name for trace in it.traces()] == ["work"]


def test_a_folder_without_traces_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not there"):
        of_run(tmp_path)


@pytest.mark.parametrize("end", ["9" * 30, "-1"])
def test_a_folder_whose_spans_have_no_time_that_can_be_is_damaged(tmp_path: Path, end: str) -> None:
    text = json.dumps(REQUEST).replace('"2000"', f'"{end}"')
    (tmp_path / "spans.jsonl").write_text(f"{text}\n")
    with pytest.raises(
        InputError, match=r"spans\.jsonl: is damaged: a span of '0+7' has no time that can be"
    ):
        of_run(tmp_path).refresh()


def test_a_span_that_ends_before_it_begins_is_one_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "spans.jsonl").write_text(json.dumps(REQUEST).replace('"2000"', '"500"') + "\n")
    it = of_run(tmp_path)
    it.refresh()
    (trace,) = it.traces()
    assert trace.duration_s == 0.0
