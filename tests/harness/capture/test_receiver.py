import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from harness.capture.frames import Encoding, FrameWriter, read_frames
from harness.capture.receiver import Receiver, ReceiverStats
from harness.clock import FakeClock
from tests.harness.capture.otlp import request

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json; charset=utf-8"}
GZIP = {"content-encoding": "gzip"}
BODY = request().SerializeToString()

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class SpanSink:
    def __init__(self) -> None:
        self.offered: list[tuple[bytes, dict[str, str]]] = []

    def offer(self, body: bytes, headers: dict[str, str]) -> None:
        self.offered.append((body, headers))


class Rig:
    """A receiver with its files, spoken to in process."""

    def __init__(
        self, folder: Path, writer: FrameWriter | None = None, *, max_body_bytes: int = 4096
    ) -> None:
        self.traces, self.metrics = folder / "traces.raw", folder / "metrics.raw"
        self.stats, self.onward = ReceiverStats(), SpanSink()
        self.receiver = Receiver(
            writer or FrameWriter(self.traces),
            FrameWriter(self.metrics),
            clock=FakeClock(start_s=50.0),
            stats=self.stats,
            onward=self.onward,
            max_body_bytes=max_body_bytes,
        )
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.receiver), base_url="http://capture")

    async def post(self, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
        return await self.http.post(path, content=body, headers=headers)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_protobuf_is_appended_as_it_came(rig: Rig) -> None:
    answer = await rig.post("/v1/traces", BODY, PROTOBUF)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    (frame,) = read_frames(rig.traces)
    assert (frame.time_s, frame.encoding, frame.payload) == (50.0, Encoding.PROTOBUF, BODY)
    assert rig.stats == ReceiverStats(requests=1, bytes=len(BODY))


async def test_json_is_taken_too(rig: Rig) -> None:
    answer = await rig.post("/v1/traces", b'{"resourceSpans": []}', JSON)
    assert (answer.status_code, answer.json()) == (200, {})
    assert [frame.encoding for frame in read_frames(rig.traces)] == [Encoding.JSON]


async def test_gzip_is_undone(rig: Rig) -> None:
    answer = await rig.post("/v1/traces", gzip.compress(BODY), PROTOBUF | GZIP)
    assert answer.status_code == 200
    assert [frame.payload for frame in read_frames(rig.traces)] == [BODY]


async def test_metrics_have_a_file_of_their_own_and_are_not_sent_on(rig: Rig) -> None:
    assert (await rig.post("/v1/metrics", b"", PROTOBUF)).status_code == 200
    assert len(list(read_frames(rig.metrics))) == 1
    assert not list(read_frames(rig.traces))
    assert not rig.onward.offered


async def test_traces_are_sent_on_with_the_very_bytes_that_came(rig: Rig) -> None:
    squeezed = gzip.compress(BODY)
    await rig.post("/v1/traces", BODY, PROTOBUF)
    await rig.post("/v1/traces", squeezed, PROTOBUF | GZIP)
    assert rig.onward.offered == [(BODY, PROTOBUF), (squeezed, PROTOBUF | GZIP)]


async def slowly(size: int) -> AsyncIterator[bytes]:
    for _ in range(size):
        yield b"x" * 1000


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "says"),
    [
        ("/v1/logs", BODY, PROTOBUF, 404, "send to /v1/traces or /v1/metrics"),
        (
            "/v1/traces",
            BODY,
            {"content-type": "text/plain"},
            415,
            "'text/plain': send application/x-protobuf",
        ),
        ("/v1/traces", BODY, {}, 415, "content-type ''"),
        (
            "/v1/traces",
            BODY,
            PROTOBUF | {"host": "elsewhere.example:4318", "origin": "http://elsewhere.example:4318"},
            403,
            "not called elsewhere.example:4318",
        ),
        (
            "/v1/traces",
            BODY,
            PROTOBUF | {"host": "localhost:4318", "origin": "http://localhost:3000"},
            403,
            "another page's request",
        ),
        ("/v1/traces", BODY, PROTOBUF | {"sec-fetch-site": "cross-site"}, 403, "another page's request"),
        ("/v1/traces", BODY, PROTOBUF | {"content-encoding": "br"}, 415, "'br': send gzip or none"),
        ("/v1/traces", BODY, PROTOBUF | GZIP, 400, "not the gzip that its content-encoding says"),
        ("/v1/traces", gzip.compress(BODY, mtime=0)[:-9], PROTOBUF | GZIP, 400, "gzip is cut off"),
        ("/v1/traces", b"", PROTOBUF | GZIP, 400, "gzip is cut off"),
        ("/v1/traces", b"\xff\xff\xff", PROTOBUF, 400, "not what its content-type says"),
        ("/v1/metrics", b"\xff\xff\xff", PROTOBUF, 400, "not what its content-type says"),
        ("/v1/traces", b"{", JSON, 400, "not what its content-type says"),
        ("/v1/traces", b"\xff", JSON, 400, "not what its content-type says"),
        ("/v1/traces", b"[]", JSON, 400, "not a JSON object"),
        ("/v1/traces", b"x" * 5000, PROTOBUF, 413, "larger than 4096 bytes"),
        (
            "/v1/traces",
            gzip.compress(b"x" * 5000, mtime=0),
            PROTOBUF | GZIP,
            413,
            "4096 bytes with its gzip undone",
        ),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_the_reason(
    rig: Rig, *, path: str, body: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    answer = await rig.post(path, body, headers)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text
    assert rig.stats == ReceiverStats(refused=1, refused_traces=int(path == "/v1/traces"))
    assert not [*read_frames(rig.traces), *read_frames(rig.metrics)]


async def test_every_member_of_a_gzip_counts(rig: Rig) -> None:
    halves = gzip.compress(BODY[:20]) + gzip.compress(BODY[20:])
    assert (await rig.post("/v1/traces", halves, PROTOBUF | GZIP)).status_code == 200
    assert [frame.payload for frame in read_frames(rig.traces)] == [BODY]
    bomb = gzip.compress(b"x" * 3000) * 2
    assert (await rig.post("/v1/traces", bomb, PROTOBUF | GZIP)).status_code == 413


async def test_spans_that_are_none_are_counted_and_the_sender_is_told(rig: Rig) -> None:
    message = request()
    message.resource_spans[0].scope_spans[0].spans.add(name="without an end", trace_id=bytes(range(16)))
    answer = await rig.post("/v1/traces", message.SerializeToString(), PROTOBUF)
    told = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, told.rejected_spans) == (200, 1)
    assert "an end" in told.error_message
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{}, {"name": "x"}]}]}]}).encode()
    answer = await rig.post("/v1/traces", body, JSON)
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "2"
    assert rig.stats.rejected_spans == 3


@pytest.mark.parametrize("body", [b'{"resourceSpans": null}', b"{}"])
async def test_a_request_without_spans_is_taken(rig: Rig, body: bytes) -> None:
    answer = await rig.post("/v1/traces", body, JSON)
    assert (answer.status_code, answer.json()) == (200, {})


async def test_json_that_is_nested_too_deeply_is_refused(rig: Rig) -> None:
    deep = Rig(rig.traces.parent, max_body_bytes=1_000_000)
    assert (await deep.post("/v1/traces", b'{"a":' + b"[" * 200_000, JSON)).status_code == 400


async def test_an_endless_body_is_cut_short(rig: Rig) -> None:
    assert (await rig.post("/v1/traces", slowly(100), PROTOBUF)).status_code == 413


async def test_a_sender_that_hangs_up_leaves_nothing_in_the_file(rig: Rig) -> None:
    sent: list[Any] = []
    messages = iter(
        [{"type": "http.request", "body": b"abc", "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/x-protobuf")]
    scope = {"type": "http", "path": "/v1/traces", "method": "POST", "headers": headers}
    await rig.receiver(scope, receive, send)
    assert sent[0]["status"] == 400
    assert not list(read_frames(rig.traces))


async def test_only_post_is_received(rig: Rig) -> None:
    assert (await rig.http.get("/v1/traces")).status_code == 405


async def test_a_full_disk_is_a_503_that_exporters_retry(tmp_path: Path) -> None:
    class FullDisk(FrameWriter):
        def append(self, time_s: float, encoding: Encoding, payload: bytes) -> None:
            raise OSError(28, "No space left on device")

    rig = Rig(tmp_path, FullDisk(tmp_path / "traces.raw"))
    answer = await rig.post("/v1/traces", BODY, PROTOBUF)
    assert (answer.status_code, answer.text) == (503, "cannot be stored: No space left on device\n")


async def test_health_and_stats_are_told(rig: Rig) -> None:
    await rig.post("/v1/traces", BODY, PROTOBUF)
    await rig.post("/v1/traces", BODY, {})
    assert (await rig.http.get("/healthz")).status_code == 200
    assert json.loads((await rig.http.get("/stats")).text) == {
        "requests": 1,
        "bytes": len(BODY),
        "refused": 1,
        "refused_traces": 1,
        "rejected_spans": 0,
        "forwarded": 0,
        "forward_failed": 0,
    }
