"""The same spans in every form in which a store hands them out, and what is none of these."""

import base64
import gzip
import io
import json
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness.capture.decode import spans_of
from harness.clock import FakeClock
from harness.errors import InputError, StartError
from harness.observe.sources import Wanted, documents, open_source
from harness.observe.sources.files import Files
from harness.observe.sources.jaeger import JaegerApi
from harness.observe.sources.source import Time
from harness.observe.sources.told import number as number_of
from harness.outside.secrets import forget, hidden
from harness.records.seen import Span

TRACE, SERVER, CLIENT = "5b8aa5a2d2c872e8321cf37308d69df2", "051581bf3cb55c13", "5fb397be34d26b51"
LOOKED_FOR = Wanted(services=(), since_s=None, every_s=None, clock=FakeClock(), tell=lambda _: None)
NOW = Time(from_s=None, to_s=1_700_000_100.0)


def attribute(key: str, value: Any) -> dict[str, Any]:
    return {
        "key": key,
        "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value},
    }


def span(span_id: str, parent: str | None, name: str, kind: int, **attributes: Any) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": span_id,
        **({"parentSpanId": parent} if parent else {}),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000001000000000",
        "attributes": [attribute(key.replace("__", "."), value) for key, value in attributes.items()],
        "status": {},
    }


def batch(*spans: dict[str, Any]) -> dict[str, Any]:
    resource = {"attributes": [attribute("service.name", "shop"), attribute("service.instance.id", "shop-1")]}
    return {"resource": resource, "scopeSpans": [{"scope": {"name": "s"}, "spans": list(spans)}]}


SPANS = (
    span(SERVER, None, "POST /ask", 2, http__request__method="POST", http__response__status_code=200),
    span(CLIENT, SERVER, "chat m", 3, gen_ai__operation__name="chat", gen_ai__request__model="m"),
)
DOCUMENT: dict[str, Any] = {"resourceSpans": [batch(*SPANS)]}
WANTED = tuple(spans_of(DOCUMENT))


def protobuf(document: dict[str, Any] = DOCUMENT) -> bytes:
    text = json.loads(json.dumps(document))
    for resource in text["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for each in scope["spans"]:
                for key in ("traceId", "spanId", "parentSpanId"):
                    if key in each:
                        each[key] = base64.b64encode(bytes.fromhex(each[key])).decode()
    return bytes(ParseDict(text, ExportTraceServiceRequest()).SerializeToString())


def framed(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(message)) + message for message in messages)


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


def of_jaeger() -> bytes:
    tags = {
        SERVER: [
            ("span.kind", "server"),
            ("http.request.method", "POST"),
            ("http.response.status_code", 200),
        ],
        CLIENT: [("span.kind", "client"), ("gen_ai.operation.name", "chat"), ("gen_ai.request.model", "m")],
    }
    spans = [
        {
            "traceID": TRACE,
            "spanID": each["spanId"],
            "operationName": each["name"],
            "references": [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": SERVER}]
            if "parentSpanId" in each
            else [],
            "startTime": 1_700_000_000_000_000,
            "duration": 1_000_000,
            "tags": [
                {"key": key, "value": value}
                for key, value in [*tags[each["spanId"]], ("otel.scope.name", "s")]
            ],
            "processID": "p1",
        }
        for each in SPANS
    ]
    process = {"serviceName": "shop", "tags": [{"key": "service.instance.id", "value": "shop-1"}]}
    return json.dumps({"data": [{"traceID": TRACE, "spans": spans, "processes": {"p1": process}}]}).encode()


def of_cloudwatch(wrap: Callable[[dict[str, Any]], Any] = lambda line: line) -> bytes:
    lines = [
        {
            "resource": {"attributes": {"service.name": "shop", "service.instance.id": "shop-1"}},
            "scope": {"name": "s"},
            "traceId": each["traceId"],
            "spanId": each["spanId"],
            **({"parentSpanId": each["parentSpanId"]} if "parentSpanId" in each else {}),
            "name": each["name"],
            "kind": ("", "INTERNAL", "SERVER", "CLIENT")[each["kind"]],
            "startTimeUnixNano": 1_700_000_000_000_000_000,
            "endTimeUnixNano": 1_700_000_001_000_000_000,
            "durationNano": 1_000_000_000,
            "attributes": {
                entry["key"]: int(value)
                if (value := entry["value"].get("intValue"))
                else entry["value"]["stringValue"]
                for entry in each["attributes"]
            },
            "status": {"code": "UNSET"},
        }
        for each in SPANS
    ]
    return "\n".join(json.dumps(wrap(line)) for line in lines).encode()


LINE = json.dumps(DOCUMENT).encode()
FORMS: dict[str, bytes] = {
    "an object": json.dumps(DOCUMENT, indent=2).encode(),
    "an array": json.dumps([DOCUMENT]).encode(),
    "an array on lines": json.dumps([DOCUMENT], indent=1).encode(),
    "lines": b"\n".join(json.dumps({"resourceSpans": [batch(each)]}).encode() for each in SPANS) + b"\n",
    "lines by gzip": gzip.compress(LINE),
    "lines by zstd": zstd(LINE),
    "protobuf": protobuf(),
    "protobuf by gzip": gzip.compress(protobuf()),
    "messages of protobuf": framed(*(protobuf({"resourceSpans": [batch(each)]}) for each in SPANS)),
    "messages of protobuf, each by zstd": framed(zstd(protobuf())),
    "messages of JSON, each by zstd": framed(zstd(LINE)),
    "Jaeger's page": of_jaeger(),
    "Jaeger's v3 API": json.dumps({"result": DOCUMENT}).encode(),
    "Tempo's API": json.dumps({"trace": DOCUMENT}).encode(),
    "Tempo's API before": json.dumps({"batches": DOCUMENT["resourceSpans"]}).encode(),
    "lines of aws/spans": of_cloudwatch(),
    "log events of aws/spans": of_cloudwatch(lambda line: {"timestamp": 1, "message": json.dumps(line)}),
    "Logs Insights": of_cloudwatch(lambda line: {"@timestamp": "x", "@message": line}),
}


def told(spans: list[Span]) -> list[tuple[Any, ...]]:
    return sorted(
        (
            each.trace_id,
            each.span_id,
            each.parent_span_id or "",
            each.name,
            each.kind,
            each.start_ns,
            each.end_ns,
            each.service,
            each.instance,
            each.scope,
            tuple(sorted((str(key), str(value)) for key, value in each.attributes.items())),
        )
        for each in spans
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_same_spans_are_read_from_each_form(form: str, tmp_path: Path) -> None:
    file = tmp_path / "spans"
    file.write_bytes(FORMS[form])
    source = Files(file)
    assert told(list(source.spans(NOW))) == told(list(WANTED))
    assert source.notes == []


def test_a_folder_is_all_its_files_and_a_runs_is_its_spans(tmp_path: Path) -> None:
    for number, each in enumerate(SPANS):
        (tmp_path / f"spans-{number}.jsonl").write_text(json.dumps({"resourceSpans": [batch(each)]}))
    assert told(list(Files(tmp_path).spans(NOW))) == told(list(WANTED))
    (tmp_path / "spans.jsonl").write_bytes(LINE)
    assert len(list(Files(tmp_path).spans(NOW))) == len(WANTED)


def test_rotated_files_are_of_a_folder_too(tmp_path: Path) -> None:
    names = (
        "traces.jsonl",
        "traces.jsonl.1",
        "traces.jsonl-20260302",
        "traces-2026-03-02T09-00-00.000.jsonl",
    )
    for name in (*names, "traces.jsonl.2.gz", "README.md", "traces.jsonl.tmp"):
        (tmp_path / name).write_bytes(LINE)
    assert len(list(Files(tmp_path).spans(NOW))) == 5 * len(WANTED)


def test_ids_in_base64_are_read_as_protobufs_own_json_has_them(tmp_path: Path) -> None:
    def in_base64(each: dict[str, Any]) -> dict[str, Any]:
        ids = {key: each[key] for key in ("traceId", "spanId", "parentSpanId") if key in each}
        return each | {key: base64.b64encode(bytes.fromhex(id_)).decode() for key, id_ in ids.items()}

    file = tmp_path / "spans"
    file.write_text(json.dumps({"batches": [batch(*map(in_base64, SPANS))]}))
    source = Files(file)
    assert told(list(source.spans(NOW))) == told(list(WANTED))
    assert source.notes == []


@pytest.mark.parametrize("cut", [1, 3, 8, 200, 2_000])
def test_a_file_of_zstd_that_is_cut_off_is_told_wherever_it_is(cut: int, tmp_path: Path) -> None:
    """Its unpacker ends without a word at the last whole block: at the end of a line, maybe."""
    file = tmp_path / "spans.zst"
    file.write_bytes(zstd(LINE + b"\n") + zstd(MANY * 3)[:-cut])
    source = Files(file)
    list(source.spans(NOW))
    assert any("cut off" in note for note in source.notes)


@pytest.mark.parametrize("how", [{}, {"write_checksum": True}, {"write_content_size": False}])
def test_whole_frames_of_zstd_of_any_kind_are_no_damage(how: dict[str, bool], tmp_path: Path) -> None:
    packer = zstandard.ZstdCompressor(**how)  # type: ignore[arg-type] # how - words of a test
    skipped = struct.pack("<II", 0x184D2A50, 5) + b"words"
    for content in (MANY, LINE + b"\n" + b" " * 500_000, b"\n"):
        file = tmp_path / "spans.zst"
        file.write_bytes(packer.compress(LINE + b"\n") + skipped + packer.compress(content) + skipped)
        source = Files(file)
        assert list(source.spans(NOW))
        assert source.notes == []


def test_what_follows_a_packed_file_is_told(tmp_path: Path) -> None:
    for content in (gzip.compress(MANY), zstd(MANY)):
        file = tmp_path / "spans"
        file.write_bytes(content + b"garbage")
        source = Files(file)
        assert list(source.spans(NOW))
        assert len(source.notes) == 1


def test_a_span_of_jaegers_page_whose_process_is_missing_is_told(tmp_path: Path) -> None:
    """Under the name of no service its calls would be nobody's, and a fault in them as well."""
    document = json.loads(of_jaeger())
    document["data"][0]["spans"][1]["processID"] = "p2"
    file = tmp_path / "spans"
    file.write_text(json.dumps(document))
    source = Files(file)
    assert [each.span_id for each in source.spans(NOW)] == [SERVER]
    assert "1 entries" in source.notes[0]
    for broken in ({"data": {"spans": []}}, {"data": [{"spans": 3, "processes": {}}]}):
        file.write_text(f"{json.dumps(broken)}\n{json.dumps(DOCUMENT)}\n")
        list(source.spans(NOW))
        assert "1 entries" in source.notes[0]


def test_what_lies_too_deep_is_told(tmp_path: Path) -> None:
    file = tmp_path / "spans"
    file.write_bytes(b"[" * 12 + LINE + b"]" * 12 + b"\n" + LINE + b"\n")
    source = Files(file)
    assert len(list(source.spans(NOW))) == len(WANTED)
    assert "1 entries" in source.notes[0]


MANY = b"".join(
    json.dumps({"resourceSpans": [batch({**SPANS[0], "traceId": f"{number * 2**90 + 1:032x}"})]}).encode()
    + b"\n"
    for number in range(1, 500)
)
CUT: dict[str, bytes] = {
    "lines by gzip": gzip.compress(MANY)[:-200],
    "messages of protobuf": framed(protobuf(), protobuf())[:-9],
    "messages of JSON, each by zstd": framed(zstd(LINE), zstd(LINE))[:-9],
}


@pytest.mark.parametrize("form", CUT)
def test_what_is_cut_off_is_told_and_the_rest_is_read(form: str, tmp_path: Path) -> None:
    file = tmp_path / "spans"
    file.write_bytes(CUT[form])
    source = Files(file)
    assert list(source.spans(NOW))
    assert len(source.notes) == 1
    assert "cut off" in source.notes[0]


@pytest.mark.parametrize(
    "content", [b"", b"\0\0", b"hello", b"{}", b"[1, 2]", b'{"data": 3}', b"\n\xff\xff\xff"]
)
def test_what_holds_no_spans_is_a_sentence(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "spans"
    file.write_bytes(content)
    with pytest.raises(InputError, match="holds no spans"):
        list(Files(file).spans(NOW))


@pytest.mark.parametrize(
    "given", [10**400, -(10**400), 2**63, -1, float("nan"), float("inf"), True, "9" * 400, [1]]
)
def test_what_no_instant_can_be_is_none(given: object) -> None:
    assert number_of(given) is None


@pytest.mark.parametrize(
    "word",
    ["no-such-file", "jaeger:nowhere", "jaeger:http://a:b", "otlp://127.0.0.1:4318", "otlp://x", "tempo:x"],
)
def test_what_is_no_source_is_a_sentence(word: str) -> None:
    with pytest.raises(InputError):
        open_source(word, LOOKED_FOR)


def test_a_file_that_is_written_to_ends_anywhere(tmp_path: Path) -> None:
    """Told as damage where nobody writes any more, and what is on its way where somebody does."""
    for name, content in (*CUT.items(), ("lines", LINE + b"\n" + LINE[:-9])):
        file = tmp_path / name
        file.write_bytes(content)
        whole, growing = Files(file), Files(file, growing=True)
        seen = Time(from_s=0.0, to_s=NOW.to_s)
        assert told(list(whole.spans(NOW))) == told(list(growing.spans(seen))), name
        assert len(whole.notes) == 1, name
        assert growing.notes == [], name


def test_a_line_that_is_broken_is_told_also_while_the_file_is_written_to(tmp_path: Path) -> None:
    file = tmp_path / "spans.jsonl"
    file.write_bytes(LINE + b"\n" + LINE[:-9] + b"\n" + LINE + b"\n")
    source = Files(file, growing=True)
    assert len(list(source.spans(Time(from_s=0.0, to_s=NOW.to_s)))) == 2 * len(WANTED)
    assert len(source.notes) == 1


def test_files_that_were_last_written_before_the_window_are_not_read(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"spans-{number}.jsonl").write_bytes(LINE + b"\n")
    os.utime(tmp_path / "spans-0.jsonl", (1_000.0, 1_000.0))
    source = Files(tmp_path, growing=True)
    assert len(list(source.spans(Time(from_s=2_000.0, to_s=NOW.to_s)))) == len(WANTED)
    (tmp_path / "spans-2.jsonl").write_bytes(LINE + b"\n")
    assert len(list(source.spans(Time(from_s=0.0, to_s=NOW.to_s)))) == 3 * len(WANTED)


def api(
    answer: Callable[[httpx.Request], httpx.Response],
    later: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(404),
    at_once: int = 2,
) -> JaegerApi:
    """Return a Jaeger that answers about the time that is looked at, and about what is later than now."""
    ends = list[str]()

    def at_its_time(request: httpx.Request) -> httpx.Response:
        ends.append(request.url.params["query.start_time_max"])
        return (later if request.url.params["query.start_time_min"] >= ends[0] else answer)(request)

    client = httpx.Client(base_url="http://jaeger", transport=httpx.MockTransport(at_its_time))
    return JaegerApi(client, ("shop",), at_once)


def test_a_jaeger_is_asked_for_what_is_dated_later_than_now() -> None:
    asked: list[str] = []

    def later(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["query.start_time_max"])
        return httpx.Response(200, json={"result": DOCUMENT})

    assert told(list(api(lambda _: httpx.Response(404), later).spans(NOW))) == told(list(WANTED))
    assert asked == ["2023-11-15T22:15:00.000000Z"]


def test_a_jaeger_is_asked_again_for_half_of_a_window_that_has_too_many_traces() -> None:
    asked: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.params["query.start_time_min"], request.url.params["query.start_time_max"]))
        assert request.url.params["query.num_traces"] == request.url.params["query.search_depth"] == "2"
        traces = 2 if len(asked) == 1 else 1
        many = [
            batch(*({**each, "traceId": f"{number + len(asked):032x}"} for each in SPANS))
            for number in range(traces)
        ]
        return httpx.Response(200, json={"result": {"resourceSpans": many}})

    found = list(api(answer).spans(Time(from_s=1_700_000_000.0, to_s=1_700_000_100.0)))
    assert len(asked) == 3
    assert asked[1] == ("2023-11-14T22:13:20.000000Z", "2023-11-14T22:14:10.000000Z")
    assert len({each.trace_id for each in found}) == 2


def test_more_traces_at_one_instant_than_an_answer_holds_are_told() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        many = [batch(*({**each, "traceId": f"{number:032x}"} for each in SPANS)) for number in (1, 2)]
        return httpx.Response(200, json={"result": {"resourceSpans": many}})

    source = api(answer)
    list(source.spans(Time(from_s=1_700_000_000.0, to_s=1_700_000_000.005)))
    assert "more than 2 traces" in source.notes[0]


def test_a_long_answer_may_be_several_documents_and_none_is_found_with_404() -> None:
    body = io.StringIO()
    for each in SPANS:
        body.write(json.dumps({"result": {"resourceSpans": [batch(each)]}}) + "\n")
    assert told(list(api(lambda _: httpx.Response(200, text=body.getvalue())).spans(NOW))) == told(
        list(WANTED)
    )
    assert list(api(lambda _: httpx.Response(404, json={"error": {}})).spans(NOW)) == []


def test_a_jaeger_that_is_none_is_a_sentence() -> None:
    def refuses(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    for answer in (refuses, lambda _: httpx.Response(500, text="broken")):
        with pytest.raises(StartError, match="http://jaeger"):
            list(api(answer).spans(NOW))


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, b"\xff", b'{"result": ' + b"9" * 5000 + b"}"])
def test_what_answers_no_json_is_a_sentence(body: bytes) -> None:
    client = httpx.Client(
        base_url="http://jaeger", transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    )
    for services in ((), ("shop",)):
        with pytest.raises(StartError, match=r"http://jaeger/?: answers what is no JSON"):
            list(JaegerApi(client, services).spans(NOW))


def test_half_a_character_in_an_answer_can_be_written() -> None:
    body = json.dumps({"result": {"resourceSpans": [batch({**SPANS[0], "name": "half \ud800"})]}})
    (found,) = api(lambda _: httpx.Response(200, text=body)).spans(NOW)
    assert found.name == "half ?"


def test_the_password_of_an_address_is_a_secret() -> None:
    try:
        open_source("jaeger:http://me:Pass%2Fw0rd@localhost:16686", LOOKED_FOR)
        assert hidden("Pass%2Fw0rd Pass/w0rd") == "[secret] [secret]"
    finally:
        forget()


def test_a_file_that_nobody_writes_to_any_more_ends_nowhere_by_chance(tmp_path: Path) -> None:
    """With --since, too, what an old file lacks is lost."""
    whole = gzip.compress(LINE + b"\n")
    for name, content in (("cut.jsonl.gz", whole[:-12]), ("half.jsonl", LINE + b"\n" + LINE[:-9])):
        file = tmp_path / name
        file.write_bytes(content)
        os.utime(file, (NOW.to_s - 3_600, NOW.to_s - 3_600))
        source = Files(file, growing=True)
        with suppress(InputError):
            list(source.spans(Time(from_s=NOW.to_s - 7_200, to_s=NOW.to_s)))
            assert source.notes, name


CUT_AT = 20


@pytest.mark.parametrize("traces", [7, 100, 120])
def test_a_jaeger_that_gives_fewer_traces_than_are_asked_for_is_asked_again(traces: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        from_s, to_s = (
            datetime.fromisoformat(request.url.params[f"query.start_time_{end}"]).timestamp()
            for end in ("min", "max")
        )
        mine = [number for number in range(traces) if from_s <= 1_700_000_000.5 + number < to_s][:CUT_AT]
        many = [batch(*({**each, "traceId": f"{number + 1:032x}"} for each in SPANS)) for number in mine]
        return httpx.Response(200, json={"result": {"resourceSpans": many}})

    source = api(answer, at_once=500)
    found = source.spans(Time(from_s=1_700_000_000.0, to_s=1_700_000_200.0))
    assert len({each.trace_id for each in found}) == traces
    assert source.notes == []


def test_a_jaeger_that_has_more_at_one_instant_than_it_gives_is_told() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        many = [batch({**SPANS[0], "traceId": f"{number + 1:032x}"}) for number in range(CUT_AT)]
        return httpx.Response(200, json={"result": {"resourceSpans": many}})

    source = api(answer, at_once=500)
    list(source.spans(Time(from_s=1_700_000_000.0, to_s=1_700_000_000.1)))
    assert any("more than 20 traces" in note for note in source.notes)


@pytest.mark.parametrize(
    ("references", "parent"),
    [
        ([], None),
        ([{"refType": "CHILD_OF", "traceID": "1" * 32, "spanID": "2" * 16}], "2" * 16),
        ([{"refType": "FOLLOWS_FROM", "traceID": "1" * 32, "spanID": "2" * 16}], "2" * 16),
        ([{"refType": "WHATEVER", "traceID": "1" * 32, "spanID": "2" * 16}], "2" * 16),
        (
            [
                {"refType": "FOLLOWS_FROM", "traceID": "1" * 32, "spanID": "3" * 16},
                {"refType": "CHILD_OF", "traceID": "1" * 32, "spanID": "2" * 16},
            ],
            "2" * 16,
        ),
        ([{"refType": "CHILD_OF", "traceID": "9" * 32, "spanID": "2" * 16}], None),  # a link to another trace
        (["no reference", 7], None),
    ],
)
def test_references_of_jaegers_page_that_nobody_knows_are_read(
    references: list[object], parent: str | None
) -> None:
    span = {
        "traceID": "1" * 32,
        "spanID": "4" * 16,
        "operationName": "x",
        "startTime": 1_700_000_000_000_000,
        "duration": 5,
        "references": references,
    }
    document = {"data": [{"spans": [{**span, "process": {"serviceName": "shop"}}], "processes": {}}]}
    (found,), none = documents.read(document)
    assert (found.parent_span_id, none) == (parent, 0)


def test_a_reference_of_jaegers_page_that_cannot_be_read_makes_no_root() -> None:
    span = {
        "traceID": "1" * 32,
        "spanID": "4" * 16,
        "operationName": "x",
        "startTime": 1_700_000_000_000_000,
        "duration": 5,
        "references": [{"refType": "CHILD_OF", "traceID": "1" * 32, "spanID": "no id"}],
        "process": {"serviceName": "shop"},
    }
    assert documents.read({"data": [{"spans": [span], "processes": {}}]}) == ([], 1)
