import json
import math
from dataclasses import replace

from harness.report.jaeger import MOST_LEFT_OUT, to_jaeger
from tests.harness.report import sample

TRACE = sample.trace("7", (0.0, 0.1, 1.1, 2), retried=True)
OTHER = sample.trace("8", (1.0, 1.0, 1.5, 0))


def test_a_trace_has_the_shape_that_jaegers_page_takes() -> None:
    (trace,) = json.loads(to_jaeger([TRACE]))["data"]
    assert trace["traceID"] == TRACE[0].trace_id
    root, server = trace["spans"][:2]
    assert root["references"] == []
    assert server["references"] == [
        {"refType": "CHILD_OF", "traceID": TRACE[0].trace_id, "spanID": TRACE[0].span_id}
    ]
    assert server["startTime"] == TRACE[1].start_ns // 1000
    assert server["duration"] == (TRACE[1].end_ns - TRACE[1].start_ns) // 1000
    assert {"key": "http.response.status_code", "type": "int64", "value": 200} in server["tags"]
    process = trace["processes"][server["processID"]]
    assert process["serviceName"] == "agent"
    assert {"key": "service.instance.id", "type": "string", "value": "agent-3"} in process["tags"]


def test_a_failed_span_and_an_event_are_told() -> None:
    (trace,) = json.loads(to_jaeger([TRACE]))["data"]
    (failed, *_) = [
        span for span in trace["spans"] if {"key": "error", "type": "bool", "value": True} in span["tags"]
    ]
    assert {
        "key": "otel.status_description", "type": "string", "value": "429 rate_limit_exceeded",
    } in failed["tags"]  # fmt: skip
    (call, *_) = [span for span in trace["spans"] if span["logs"]]
    assert {"key": "agentrig.retry.delay", "type": "float64", "value": 1.3} in call["logs"][0]["fields"]


def test_every_span_names_a_process_that_is_described() -> None:
    (trace,) = json.loads(to_jaeger([TRACE]))["data"]
    assert {span["processID"] for span in trace["spans"]} == set(trace["processes"])
    assert len(trace["processes"]) == 4


def test_attributes_of_every_type_can_be_read_back() -> None:
    span = replace(
        TRACE[0], attributes={"yes": True, "list": ("a", 1), "none": None, "nan": math.nan, "half": 0.5}
    )
    (trace,) = json.loads(to_jaeger([(span,)]), parse_constant=str)["data"]
    tags = {tag["key"]: (tag["type"], tag["value"]) for tag in trace["spans"][0]["tags"]}
    assert tags["yes"] == ("bool", True)
    assert tags["list"] == ("string", '["a", 1]')
    assert tags["none"] == ("string", "null")
    assert tags["nan"] == ("string", "NaN")
    assert tags["half"] == ("float64", 0.5)


def test_a_trace_given_twice_is_written_once_and_order_is_kept() -> None:
    data = json.loads(to_jaeger([OTHER, TRACE, OTHER, ()]))["data"]
    assert [trace["traceID"] for trace in data] == [OTHER[0].trace_id, TRACE[0].trace_id]


def test_a_trace_that_would_not_fit_is_left_out_whole() -> None:
    both = len(to_jaeger([TRACE, OTHER])) + len(str(MOST_LEFT_OUT)) - 1
    assert len(json.loads(to_jaeger([TRACE, OTHER], limit_bytes=both))["data"]) == 2
    cut = to_jaeger([TRACE, OTHER], limit_bytes=both - 1)
    assert [trace["traceID"] for trace in json.loads(cut)["data"]] == [TRACE[0].trace_id]
    assert json.loads(cut)["left_out"] == 1


def test_a_smaller_trace_takes_the_place_of_one_that_does_not_fit() -> None:
    limit = len(to_jaeger([TRACE])) + len(str(MOST_LEFT_OUT)) - 2
    small = json.loads(to_jaeger([TRACE, OTHER], limit_bytes=limit))
    assert [trace["traceID"] for trace in small["data"]] == [OTHER[0].trace_id]
    assert small["left_out"] == 1


def test_no_limit_is_ever_passed() -> None:
    for limit in range(100, len(to_jaeger([TRACE, OTHER])), 97):
        assert len(to_jaeger([TRACE, OTHER], limit_bytes=limit).encode()) <= limit


def test_no_traces_are_an_empty_file_that_can_be_read() -> None:
    assert json.loads(to_jaeger([])) == {"data": [], "left_out": 0}


def test_what_is_not_among_those_that_were_given_is_left_out_too() -> None:
    assert json.loads(to_jaeger([TRACE, OTHER], of=2088))["left_out"] == 2086
