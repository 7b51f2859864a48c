"""The capture beside the OpenTelemetry Collector: CPU a span, for the same OTLP/HTTP bodies, into a file."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from harness.capture import decode
from harness.capture.frames import read_frames
from tests.bench.peers.figures import Figures, NotMeasuredError, Row, turn_about
from tests.bench.simulator_cost import free_port

BODIES, SPANS = 1000, 50
"""Requests of a block, and spans of each: an agent's batch after some requests."""
CONNECTIONS = 4
WRITTEN_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1
START_NS = 1_700_000_000_000_000_000
ATTRIBUTES = {
    "http.request.method": "POST",
    "url.path": "/v1/chat/completions",
    "server.address": "127.0.0.1",
    "http.response.status_code": 200,
    "gen_ai.request.model": "sim-1",
    "gen_ai.usage.input_tokens": 412,
    "gen_ai.usage.output_tokens": 97,
    "agentrig.attempt": 1,
}
COLLECTOR = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{file: {{path: "{file}", format: {format}, flush_interval: 200ms}}}}
service:
  telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [file]}}}}
"""


@dataclass
class Receiving:
    """A receiver that runs.

    Attributes:
        port: of its OTLP/HTTP.
        process: its process.
        file: what it writes.
        count: how many spans a file of its kind has from a byte on.
        after: what is still to be done with the file of a block, given the byte it begins at.
    """

    port: int
    process: psutil.Process
    file: Path
    count: Callable[[Path, int], int]
    after: Callable[[Path, int], None] | None = None


def rows(peers: Path, rounds: int, draw: random.Random) -> list[Row]:
    """Measure the rows of the capture."""
    found = []
    for name, what, after in (
        ("proto", "as it came (the Collector: protobuf)", None),
        ("json", "as OTLP/JSON", to_json),
    ):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            ways = {"agentrig": partial(block, stack.enter_context(ours(folder, after)))}
            try:
                theirs = stack.enter_context(collector(peers / "bin" / "otelcol", folder, name))
            except NotMeasuredError as error:
                costs: dict[str, list[float] | str] = {"OpenTelemetry Collector": str(error)}
            else:
                ways["OpenTelemetry Collector"] = partial(block, theirs)
                costs = {}
            costs |= turn_about(ways, rounds, draw, warm_up=True)
        figures: dict[str, Figures] = {
            name: each if isinstance(each, str) else tuple(each) for name, each in costs.items()
        }
        own = figures.pop("agentrig")
        found.append(
            Row(
                part="capture",
                what=f"CPU of a span received and written {what}",
                unit="µs",
                ours=own,
                peers=figures,
            )
        )
    return found


@contextmanager
def ours(folder: Path, after: Callable[[Path, int], None] | None) -> Iterator[Receiving]:
    """Run the capture. Its file is made OTLP/JSON after the load: that is the cost of `after`."""
    port = free_port()
    argv = [sys.executable, "-m", "harness.capture", "--port", str(port), "--out", str(folder)]
    with started(argv, port) as process:
        yield Receiving(port, process, folder / "traces.raw", spans_of_frames, after)


@contextmanager
def collector(program: Path, folder: Path, form: str) -> Iterator[Receiving]:
    """Run the Collector with its OTLP receiver and its exporter to a file."""
    port, file, config = free_port(), folder / f"collector.{form}", folder / "collector.yaml"
    config.write_text(COLLECTOR.format(port=port, file=file, format=form))
    with started([str(program), "--config", str(config)], port) as process:
        yield Receiving(port, process, file, spans_of_lines if form == "json" else spans_of_messages)


@contextmanager
def started(argv: list[str], port: int) -> Iterator[psutil.Process]:
    """Run a receiver, ready when it is handed out."""
    try:
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ)
    except FileNotFoundError as error:
        raise NotMeasuredError("not installed") from error
    try:
        end = time.monotonic() + WRITTEN_WITHIN_S
        while True:
            try:
                httpx.post(
                    f"http://127.0.0.1:{port}/v1/traces", headers={"content-type": "application/x-protobuf"}
                )
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > end:
                    process.kill()
                    said = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
                    raise NotMeasuredError(f"{Path(argv[0]).name} did not start: {said[-200:]}") from None
                time.sleep(LOOK_EVERY_S)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def block(receiving: Receiving) -> float:
    """Send a block, wait until its spans are in the file; return µs of CPU a span."""
    bodies = [body(number) for number in range(BODIES)]
    from_byte = receiving.file.stat().st_size if receiving.file.exists() else 0
    before_s = cpu_s(receiving.process)
    asyncio.run(send_all(receiving.port, bodies))
    wait_written(receiving, from_byte)
    spent_s = cpu_s(receiving.process) - before_s
    if receiving.after is not None:
        begun_s = time.process_time()
        receiving.after(receiving.file, from_byte)
        spent_s += time.process_time() - begun_s
    return spent_s / (BODIES * SPANS) * 1e6


def wait_written(receiving: Receiving, from_byte: int) -> None:
    """Return once all that was sent is in the file, which is counted whenever it has stopped to grow."""
    end, size, written = time.monotonic() + WRITTEN_WITHIN_S, -1, 0
    while time.monotonic() < end:
        grown = receiving.file.stat().st_size if receiving.file.exists() else 0
        if grown == size:
            written = receiving.count(receiving.file, from_byte)
            if written >= BODIES * SPANS:
                break
        size = grown
        time.sleep(LOOK_EVERY_S * 3)
    if written != BODIES * SPANS:
        raise NotMeasuredError(f"{written} of {BODIES * SPANS} spans are in the file")


def to_json(raw: Path, from_byte: int) -> None:
    """Make OTLP/JSON of what a block added to the raw file, as a run does at its end."""
    part = raw.with_name("part.raw")
    with raw.open("rb") as file:
        file.seek(from_byte)
        part.write_bytes(file.read())
    with part.with_suffix(".jsonl").open("w", encoding="utf-8") as out:
        out.writelines(f"{line}\n" for line in decode.otlp_json_lines(part))
    written = spans_of_lines(part.with_suffix(".jsonl"), 0)
    if written != BODIES * SPANS:
        raise NotMeasuredError(f"{written} of {BODIES * SPANS} spans became OTLP/JSON")


def spans_of_frames(file: Path, from_byte: int) -> int:
    """Count the spans of a raw file."""
    return sum(
        spans_in(ExportTraceServiceRequest.FromString(frame.payload).resource_spans)
        for frame in read_frames(file, from_byte=from_byte)
    )


def spans_of_lines(file: Path, from_byte: int) -> int:
    """Count the spans of OTLP/JSON lines."""
    with file.open("rb") as lines:
        lines.seek(from_byte)
        return sum(
            len(scope["spans"])
            for line in lines
            for resource in json.loads(line)["resourceSpans"]
            for scope in resource["scopeSpans"]
        )


def spans_of_messages(file: Path, from_byte: int) -> int:
    """Count the spans of the Collector's protobuf: each message behind its length, big endian."""
    found, data, at = 0, file.read_bytes(), from_byte
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found += spans_in(TracesData.FromString(data[at + 4 : at + 4 + size]).resource_spans)
        at += 4 + size
    return found


def spans_in(resources: object) -> int:
    return sum(len(scope.spans) for resource in resources for scope in resource.scope_spans)


def body(number: int) -> bytes:
    """Return a request with the spans of an agent, in protobuf."""
    message = ExportTraceServiceRequest()
    entry = message.resource_spans.add()
    for key, value in {"service.name": "agent", "service.instance.id": "agent-1"}.items():
        entry.resource.attributes.add(key=key).value.string_value = value
    scope = entry.scope_spans.add()
    scope.scope.name = "a-library"
    for index in range(SPANS):
        span = scope.spans.add(
            trace_id=(number + 1).to_bytes(16, "big"),
            span_id=(number * SPANS + index + 1).to_bytes(8, "big"),
            parent_span_id=(number + 1).to_bytes(8, "big"),
            name="POST /v1/chat/completions",
            kind=3,
            start_time_unix_nano=START_NS + index,
            end_time_unix_nano=START_NS + index + 2_000_000,
        )
        for key, value in ATTRIBUTES.items():
            if isinstance(value, str):
                span.attributes.add(key=key).value.string_value = value
            else:
                span.attributes.add(key=key).value.int_value = value
    return bytes(message.SerializeToString())


async def send_all(port: int, bodies: list[bytes]) -> None:
    await asyncio.gather(*(send(port, bodies[number::CONNECTIONS]) for number in range(CONNECTIONS)))


async def send(port: int, bodies: list[bytes]) -> None:
    """Send requests one after the other over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for each in bodies:
        writer.write(
            b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(each), each)
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise NotMeasuredError(f"no answer: {head!r}")
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    writer.close()


def cpu_s(process: psutil.Process) -> float:
    """Return the CPU seconds of a process and of those below it."""
    spent = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(times.user + times.system for times in spent)
