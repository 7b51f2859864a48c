import base64
import json
from pathlib import Path
from typing import Any

import pytest

from harness.capture import decode
from harness.capture.frames import Encoding, FrameWriter
from harness.capture.normal import regular
from harness.errors import InputError
from harness.outside.secrets import forget, remember
from harness.records.seen import Span
from tests.harness.capture.otlp import START_NS, request


def raw(path: Path, *payloads: bytes, encoding: Encoding = Encoding.PROTOBUF) -> Path:
    writer = FrameWriter(path)
    for payload in payloads:
        writer.append(1.0, encoding, payload)
    writer.close()
    return path


def one_line(path: Path, **extra: str) -> dict[str, Any]:
    (line,) = decode.otlp_json_lines(path, extra_resource=extra)
    assert "\n" not in line
    return json.loads(line)["resourceSpans"][0]


def test_protobuf_becomes_otlp_json_with_hex_ids_and_integers_as_text(tmp_path: Path) -> None:
    entry = one_line(raw(tmp_path / "t.raw", request().SerializeToString()))
    scope = entry["scopeSpans"][0]
    span = scope["spans"][0]
    assert entry["schemaUrl"] == "https://example.test/schema"
    assert scope["scope"] == {"name": "a-library", "version": "1.2"}
    assert {key: value for key, value in span.items() if key not in {"attributes", "events"}} == {
        "traceId": "000102030405060708090a0b0c0d0e0f",
        "spanId": "0001020304050607",
        "parentSpanId": "08090a0b0c0d0e0f",
        "traceState": "a=b",
        "flags": 257,
        "name": "GET /ping",
        "kind": 3,
        "startTimeUnixNano": str(START_NS),
        "endTimeUnixNano": str(START_NS + 2_000_000),
        "status": {"code": 2, "message": "it broke"},
        "droppedAttributesCount": 2,
        "links": [
            {"traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "08090a0b0c0d0e0f", "attributes": []}
        ],
    }
    assert span["events"][0]["timeUnixNano"] == str(START_NS + 1)
    assert {entry["key"]: entry["value"] for entry in span["attributes"]} == {
        "text": {"stringValue": "grün"},
        "whole": {"intValue": str(2**53 + 1)},
        "real": {"doubleValue": 0.5},
        "endless": {"doubleValue": "Infinity"},
        "yes": {"boolValue": True},
        "raw": {"bytesValue": "AP8="},
        "list": {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "0"}]}},
        "map": {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "7"}}]}},
        "nothing": {},
    }


def test_lines_become_span_records(tmp_path: Path) -> None:
    path = raw(tmp_path / "t.raw", request(team="blue").SerializeToString())
    (span,) = decode.spans(decode.otlp_json_lines(path))
    (event,) = span.events
    assert span == Span(
        trace_id="000102030405060708090a0b0c0d0e0f",
        trace_state="a=b",
        span_id="0001020304050607",
        parent_span_id="08090a0b0c0d0e0f",
        name="GET /ping",
        kind="client",
        start_ns=START_NS,
        end_ns=START_NS + 2_000_000,
        service="agent",
        instance="agent-1",
        error=True,
        status_message="it broke",
        attributes={
            "text": "grün",
            "whole": 2**53 + 1,
            "real": 0.5,
            "endless": float("inf"),
            "yes": True,
            "raw": "AP8=",
            "list": ("a", 0),
            "map": (("k", 7),),
            "nothing": None,
        },
        events=(event,),
        resource={"team": "blue"},
        scope="a-library",
    )
    assert (event.name, event.time_ns, event.attributes) == (
        "agentrig.retry",
        START_NS + 1,
        {"agentrig.retry.delay": 0.25},
    )


def test_json_frames_give_the_same_spans_as_protobuf(tmp_path: Path) -> None:
    (line,) = decode.otlp_json_lines(raw(tmp_path / "a.raw", request().SerializeToString()))
    again = raw(tmp_path / "b.raw", line.encode(), encoding=Encoding.JSON)
    assert list(decode.spans(decode.otlp_json_lines(again))) == list(decode.spans([line]))


def test_extra_attributes_are_put_on_each_resource_in_place_of_their_namesakes(tmp_path: Path) -> None:
    payload = request(arm="old").SerializeToString()
    entry = one_line(raw(tmp_path / "t.raw", payload), arm="new", experiment="e")
    attributes = [(a["key"], a["value"]["stringValue"]) for a in entry["resource"]["attributes"]]
    assert sorted(attributes) == [
        ("arm", "new"),
        ("experiment", "e"),
        ("service.instance.id", "agent-1"),
        ("service.name", "agent"),
    ]


def test_a_root_span_of_a_nameless_service_is_taken_too() -> None:
    span = {
        "traceId": "a",
        "spanId": "b",
        "name": "n",
        "startTimeUnixNano": 1,
        "endTimeUnixNano": 2,
    }
    (record,) = decode.spans([json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})])
    assert (record.parent_span_id, record.service, record.instance) == (None, "unknown_service", None)
    assert (record.kind, record.error, record.attributes) == ("unspecified", False, {})


def test_half_a_surrogate_pair_from_a_json_sender_can_be_written_as_utf_8(tmp_path: Path) -> None:
    body = b'{"resourceSpans": [{"schemaUrl": "\\ud800"}]}'
    (line,) = decode.otlp_json_lines(raw(tmp_path / "t.raw", body, encoding=Encoding.JSON))
    assert line.encode().isascii()


def test_a_frame_cut_off_by_a_crash_costs_only_itself(tmp_path: Path) -> None:
    payload = request().SerializeToString()
    path = raw(tmp_path / "t.raw", payload, payload)
    path.write_bytes(path.read_bytes()[:-1])
    assert len(list(decode.otlp_json_lines(path))) == 1


@pytest.mark.parametrize(
    ("payload", "encoding"),
    [
        (b"\xff\xff\xff", Encoding.PROTOBUF),
        (b"{", Encoding.JSON),
        (b'{"resourceSpans": [3]}', Encoding.JSON),
        (b'{"resourceSpans": [{"resource": {"attributes": [{}]}}]}', Encoding.JSON),
    ],
)
def test_a_damaged_frame_is_told_and_costs_only_itself(
    tmp_path: Path, payload: bytes, encoding: Encoding
) -> None:
    raw(tmp_path / "t.raw", request("before").SerializeToString())
    raw(tmp_path / "t.raw", payload, encoding=encoding)
    path = raw(tmp_path / "t.raw", request("after").SerializeToString())
    notes: list[str] = []
    lines = list(decode.otlp_json_lines(path, extra_resource={"a": "b"}, left_out=notes))
    assert [span.name for span in decode.spans(lines)] == ["before", "after"]
    assert not notes or "t.raw: frame 2: is not an OTLP request" in notes[0]
    assert [span.name for span in decode.spans_since(path, 0)[0]] == ["before", "after"]


def test_what_comes_after_bytes_that_are_no_frame_is_told_and_the_rest_is_kept(tmp_path: Path) -> None:
    path = raw(tmp_path / "t.raw", request("before").SerializeToString())
    path.write_bytes(path.read_bytes() + b"\xff" * 100)
    notes: list[str] = []
    assert len(list(decode.otlp_json_lines(path, left_out=notes))) == 1
    assert "what comes after it is left out" in notes[0]
    assert len(decode.spans_since(path, 0)[0]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "SPAN_KIND_CLIENT"},
        {"attributes": None},
        {"status": None},
        {"events": None, "links": [None]},
        {"startTimeUnixNano": START_NS},
        {"traceId": "000102030405060708090A0B0C0D0E0F"},
        {"attributes": [{}, None, {"key": "k", "value": {"intValue": "many"}}]},
        {"status": {"code": "STATUS_CODE_ERROR"}},
    ],
)
def test_what_may_be_written_in_several_ways_is_one_span(tmp_path: Path, change: dict[str, object]) -> None:
    line = one_line(raw(tmp_path / "a.raw", request().SerializeToString()))
    line["scopeSpans"][0]["spans"][0] |= change
    body = json.dumps({"resourceSpans": [line]}).encode()
    (span,) = decode.spans(decode.otlp_json_lines(raw(tmp_path / "b.raw", body, encoding=Encoding.JSON)))
    assert (span.kind, span.start_ns, span.trace_id) == (
        "client",
        START_NS,
        "000102030405060708090a0b0c0d0e0f",
    )


@pytest.mark.parametrize("kind", [6, -1, "nonsense", None, [], 2**70])
def test_a_kind_that_there_is_not_is_none(tmp_path: Path, kind: object) -> None:
    line = one_line(raw(tmp_path / "a.raw", request().SerializeToString()))
    line["scopeSpans"][0]["spans"][0]["kind"] = kind
    body = json.dumps({"resourceSpans": [line]}).encode()
    (span,) = decode.spans(decode.otlp_json_lines(raw(tmp_path / "b.raw", body, encoding=Encoding.JSON)))
    assert span.kind == "unspecified"


def test_a_kind_of_protobuf_that_there_is_not_is_none(tmp_path: Path) -> None:
    message = request()
    message.resource_spans[0].scope_spans[0].spans[0].kind = 6
    (span,) = decode.spans(decode.otlp_json_lines(raw(tmp_path / "a.raw", message.SerializeToString())))
    assert span.kind == "unspecified"


@pytest.mark.parametrize("name", ["traceId", "spanId", "startTimeUnixNano", "endTimeUnixNano"])
@pytest.mark.parametrize("value", [None, "", "x", [], -1, 1e400, 2**64])
def test_a_span_without_what_it_needs_is_left_out_and_told(tmp_path: Path, name: str, value: object) -> None:
    line = one_line(raw(tmp_path / "a.raw", request().SerializeToString()))
    spans = line["scopeSpans"][0]["spans"]
    spans.append(spans[0] | {name: value})
    body = json.dumps({"resourceSpans": [line]}).encode()
    notes: list[str] = []
    path = raw(tmp_path / "b.raw", body, encoding=Encoding.JSON)
    assert len(list(decode.spans(decode.otlp_json_lines(path, left_out=notes)))) == 1
    assert "1 of its spans lack an id, begin or end" in notes[0]


def test_values_that_are_nested_endlessly_are_cut(tmp_path: Path) -> None:
    line = one_line(raw(tmp_path / "a.raw", request().SerializeToString()))
    value: dict[str, object] = {"stringValue": "deep"}
    for _ in range(300):
        value = {"arrayValue": {"values": [value]}}
    line["scopeSpans"][0]["spans"][0]["attributes"] = [{"key": "k", "value": value}]
    body = json.dumps({"resourceSpans": [line]}).encode()
    path = raw(tmp_path / "b.raw", body, encoding=Encoding.JSON)
    assert len(list(decode.spans(decode.otlp_json_lines(path)))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "{}",
        '{"resourceSpans": 1}',
        '{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "a"}]}]}]}',
        '{"resourceSpans": [{"resource": {"attributes": [{"value": {}}]}}]}',
    ],
)
def test_a_damaged_line_is_told_by_file_and_number(line: str) -> None:
    with pytest.raises(InputError, match=r"runs/1/spans\.jsonl:2: is not a line of OTLP/JSON"):
        list(decode.spans(['{"resourceSpans": []}', line], source="runs/1/spans.jsonl"))


def test_a_file_that_is_still_written_to_is_read_on_where_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "t.raw"
    assert decode.spans_since(path, 0) == ([], 0)
    raw(path, request("one").SerializeToString())
    first, at = decode.spans_since(path, 0)
    with path.open("ab") as file:
        file.write(b"half a head")
    assert decode.spans_since(path, at) == ([], at)
    path.write_bytes(path.read_bytes()[:at])
    raw(path, request("two").SerializeToString())
    second, _ = decode.spans_since(path, at)
    assert [span.name for span in (*first, *second)] == ["one", "two"]


def test_ids_in_upper_case_and_kinds_by_name_are_understood() -> None:
    span = {
        "traceId": "0AF7651916CD43DD8448EB211C80319C",
        "spanId": "B7AD6B7169203331",
        "parentSpanId": "00F067AA0BA902B7",
        "name": "POST /invocations",
        "kind": "SPAN_KIND_SERVER",
        "startTimeUnixNano": "1",
        "endTimeUnixNano": 2,
    }
    root = span | {"parentSpanId": "0000000000000000", "kind": "internal"}
    line = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span, root]}]}]})
    first, second = decode.spans([line])
    assert (first.trace_id, first.span_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert (first.parent_span_id, first.kind) == ("00f067aa0ba902b7", "server")
    assert (second.parent_span_id, second.kind) == (None, "internal")


def test_spans_of_a_capture_that_still_receives_have_no_secret(tmp_path: Path) -> None:
    remember(["GET-p1ng-k3y"])
    path = raw(tmp_path / "t.raw", request("told GET-p1ng-k3y").SerializeToString())
    (shown,), _ = decode.spans_since(path, 0)
    ((_, received),) = decode.received(path)
    assert shown.name == received.name == "told [secret]"
    forget()
    assert decode.spans_since(path, 0)[0][0].name == "told GET-p1ng-k3y"


def test_a_secret_in_the_bytes_of_an_attribute_is_hidden(tmp_path: Path) -> None:
    remember(["p1ng-k3y-of-mine"])
    told = {"key": "k", "value": {"bytesValue": base64.b64encode(b"Bearer p1ng-k3y-of-mine!").decode()}}
    span = {"traceId": "1" * 32, "spanId": "2" * 16, "name": "n", "attributes": [told]}
    span |= {"startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    path = raw(tmp_path / "t.raw", body, encoding=Encoding.JSON)
    (line,) = decode.otlp_json_lines(path)
    assert "[secret]" in line
    (shown,), _ = decode.spans_since(path, 0)
    assert "[secret]" in str(shown.attributes["k"])


ODD: list[Any] = [
    None, True, 0, -1, 7, 2**63, 2**64, 1.5, "", "7", "-7", "٣", "9" * 18, "9" * 19, "9" * 20, "x",
    "NaN", [], [None], {}, {"values": [{"key": "k", "value": {"intValue": "1"}}, {"stringValue": "v"}]},
    {"stringValue": "a"}, {"intValue": 5}, {"intValue": "5"}, {"doubleValue": "NaN"}, {"boolValue": True},
    {"arrayValue": {"values": [{"intValue": "5"}, {}]}}, {"stringValue": 1, "intValue": "5"},
    "0" * 32, "0" * 16, "AB" * 8, "ab" * 16, "g" * 16, "SPAN_KIND_CLIENT", "STATUS_CODE_ERROR", "ERROR",
    "AAECAwQFBgc=",
]  # fmt: skip
"""What stands in a place where something else should."""


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return each place of a document, as what holds it and its key."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in [(value, key), *_places(value[key])]]


def test_what_others_wrote_is_read_as_if_it_were_made_regular_first(tmp_path: Path) -> None:
    (line,) = decode.otlp_json_lines(raw(tmp_path / "t.raw", request().SerializeToString()))
    for number in range(len(_places(json.loads(line)))):
        for odd in [*ODD, "left out"]:
            given = json.loads(line)
            holder, key = _places(given)[number]
            if odd == "left out":
                del holder[key]
            else:
                holder[key] = odd
            resources, none = regular(given)
            expected = list(decode.spans_of({"resourceSpans": resources})), none
            assert repr(decode.spans_of_others(given)) == repr(expected), (odd, key)
    assert decode.spans_of_others([line]) == ([], 0)


def test_the_texts_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of names that a sender makes up, and of more spans than anybody keeps."""
    monkeypatch.setattr(decode, "MOST_KEYS", 0)
    monkeypatch.setattr(decode, "MOST_SHARED", 0)
    monkeypatch.setattr(decode, "_keys", {})
    lines = list(decode.otlp_json_lines(raw(tmp_path / "t.raw", request().SerializeToString())))
    assert list(decode.spans(lines)) == list(decode.spans_of(json.loads(lines[0])))
    assert decode.spans_of_others(json.loads(lines[0]))[0] == list(decode.spans(lines))
    assert decode._keys == {}
