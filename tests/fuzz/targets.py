"""What gets wrong inputs, and what it may make of them: a verdict, or a sentence; nothing else.

Each target is a function of a seeded draw, and raises when what it looks at does anything else.
"""

import contextlib
import gzip
import io
import json
import random
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import httptools
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

from harness.analysis.summary import summarise
from harness.asking.answer import AnswerReader
from harness.asking.described import FILE, find
from harness.capture import decode
from harness.capture.frames import Encoding, FrameWriter
from harness.capture.receiver import TRACES, RefusedError, _check, _gunzip
from harness.commands.main import call
from harness.errors import AgentrigError, ExitCode
from harness.experiment.load import catalogue, parse
from harness.gate import history as baselines
from harness.gate.decide import decide
from harness.gate.ending import of_decision
from harness.load.reply import exchange
from harness.observe.gathering import Gathering, Known
from harness.observe.sources.files import Files
from harness.own.config import read
from harness.own.detect import detect
from harness.plan.files import read_workload
from harness.plan.prices import read_prices
from harness.records.seen import MetricPoint
from harness.run.folder import JOURNAL, METRICS, RunFolder
from harness.run.pipeline import known
from harness.simulator.calls import answer_to
from harness.simulator.wire import Wires
from harness.simulator.wire.protocol import BadRequestError
from harness.simulator_config import SimulatorConfig
from harness.traces.store import of_run
from harness.under_test import RequestShape
from tests.fuzz.damage import cut, damaged, odd_json
from tests.fuzz.http_targets import HTTP_TARGETS
from tests.harness.capture.otlp import request
from tests.harness.gate.test_decide import blocks
from tests.harness.gate.test_folder import saved as saved_gate
from tests.harness.histories import Arm
from tests.harness.observe.test_sources import FORMS, NOW
from tests.harness.plan.test_workload import TOML
from tests.harness.run.test_judge_saved import saved

ROOT = Path(__file__).parents[2]
HISTORY = "history.jsonl"
WORKLOAD = TOML.encode()
PRICES = b'currency = "EUR"\ncontainer_hour = 0.5\nmillion_tokens_in = 3\n'
VERDICTS = {ExitCode.HELD, ExitCode.FELL_SHORT, ExitCode.UNKNOWN, ExitCode.BAD_INPUT}
OWN = b"""[agent]
command = ["python3", "agent.py", "--port", "{port}"]
concurrency_limit = 4
[agent.env]
OPENAI_BASE_URL = "{simulator}/v1"
[request]
path = "/chat"
headers = { X-Team = "blue" }
body = '{"q": ["{prompt}", "{session}"]}'
answer = "a[0].b"
error_when = ["error", "type = x"]
[request.open]
session = "id"
[limits]
p99_ms = 900.0
"""
CALLS: Mapping[str, bytes] = {
    "/v1/chat/completions": b'{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}',
    "/v1/messages": b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"text":"a"}]}]}',
    "/model/m/converse": b'{"messages":[{"role":"user","content":[{"text":"a"}]}],"inferenceConfig":{}}',
    "/v1/responses": b'{"model":"m","input":[{"role":"user","content":"a"},{"type":"function_call",'
    b'"call_id":"1","name":"a","arguments":"{}"},{"type":"function_call_output","call_id":"1","output":"b"}]}',
}
SCHEMA = (
    b'{"type":"object","required":["a","b"],"properties":{"a":{"type":"array","minItems":2,'
    b'"uniqueItems":true,"items":{"type":"integer","minimum":1,"exclusiveMaximum":9.5,"multipleOf":2}},'
    b'"b":{"$ref":"#/$defs/b"}},'
    b'"$defs":{"b":{"anyOf":[{"allOf":[{"$ref":"#/$defs/b"},{"enum":["c"]}]},{"type":"string","minLength":3}]}}}'
)
WITH_SCHEMAS: Mapping[str, bytes] = {
    "/v1/chat/completions": b'{"model":"m","messages":[{"role":"user","content":"a"}],'
    b'"tool_choice":"required","tools":[{"type":"function","function":{"name":"t","parameters":%b}}]}'
    % SCHEMA,
    "/v1/messages": b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"}],'
    b'"tool_choice":{"type":"any"},"tools":[{"name":"t","input_schema":%b}]}' % SCHEMA,
    "/v1/responses": b'{"model":"m","input":"a","text":{"format":{"type":"json_schema","name":"f",'
    b'"schema":%b}}}' % SCHEMA,
    "/v1beta/models/m:generateContent": b'{"contents":[{"role":"user","parts":[{"text":"a"}]}],'
    b'"generationConfig":{"responseMimeType":"application/json","responseSchema":%b}}' % SCHEMA,
}
READ_A_RUN = (
    *(("judge", "{run}", "--json"), ("judge", "{run}"), ("report", "{run}")),
    *(("observe", "{run}", "--out", "{out}"), ("calibrate", "{run}", "--out", "{out}")),
)
READ_A_GATE = (
    *(("judge", "{run}", "--json"), ("judge", "{run}"), ("report", "{run}")),
    *(
        ("baseline", "save", "{out}", "--run", "{run}"),
        ("baseline", "compare", "{history}", "--run", "{run}"),
    ),
    *(("baseline", "csv", "{history}"), ("baseline", "trend", "{history}", "--out", "{out}")),
    ("github", "{run}"),
)
KINDS = ("text/event-stream", "application/x-ndjson", "text/plain")
READERS = tuple(map(AnswerReader.of, (RequestShape(), RequestShape(answer="output"))))
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'10\r\n{"output": "OK"}\r\n0\r\n\r\n'
)


@cache
def experiments() -> tuple[bytes, ...]:
    folder = ROOT / "harness" / "experiment" / "catalogue"
    return tuple((folder / f"{name}.toml").read_bytes() for name in catalogue())


@cache
def run_files() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        run = saved(Path(folder) / "run")
        seen = Arm()
        seen.request(calls=[["ok"], ["overloaded", "ok"]])
        point = {"experiment": "experiment", "arm": "arm", "source": "agent-1", "value": 1.0, "time_s": 1.0}
        RunFolder(run).append_rows(JOURNAL, seen.data().journal)
        RunFolder(run).append_rows(METRICS, [MetricPoint(name="agentrig_busy", labels={"a": "b"}, **point)])
        lines = (run / "requests.jsonl").read_bytes().splitlines(keepends=True)
        files = {file.name: file.read_bytes() for file in run.iterdir() if file.is_file()}
        return files | {"requests.jsonl": b"".join(lines[:60] + lines[-60:]), "spans.jsonl": otlp_line()}


@cache
def gate_files() -> dict[str, bytes]:
    """Return the files of a gate's run folder, and a history of two sessions beside them."""
    with tempfile.TemporaryDirectory() as folder:
        run, history = saved_gate(Path(folder) / "run", blocks()), Path(folder) / HISTORY
        of_decision(decide(blocks())).write(run.path)
        for _ in range(2):
            baselines.add(history, baselines.of_run(run.path))
        files = {file.name: file.read_bytes() for file in run.path.iterdir() if file.is_file()}
        return files | {HISTORY: history.read_bytes(), "spans.jsonl": otlp_line()}


@cache
def otlp_line() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "traces.raw"
        writer = FrameWriter(raw)
        writer.append(1.0, Encoding.PROTOBUF, request().SerializeToString())
        writer.close()
        return b"".join(line.encode() + b"\n" for line in decode.otlp_json_lines(raw))


def experiment(draw: random.Random) -> None:
    text = damaged(draw, draw.choice(experiments())).decode(errors="replace")
    with contextlib.suppress(AgentrigError):
        parse(text, "mine.toml", known())


def own_agent(draw: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        name = draw.choice((FILE, "pyproject.toml"))
        right = OWN if name == FILE else re.sub(rb"^\[", b"[tool.agentrig.", OWN, flags=re.MULTILINE)
        Path(folder, name).write_bytes(damaged(draw, right))
        with contextlib.suppress(AgentrigError):
            if file := find(Path(folder)):
                read(file).under_test(Path(folder))


def project(draw: random.Random) -> None:
    source = ROOT / "tests" / "e2e" / "fixtures" / "tiny_agent.py"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "main.py").write_bytes(damaged(draw, source.read_bytes()))
        detect(Path(folder))


def otlp(draw: random.Random) -> None:
    encoding = draw.choice(list(Encoding))
    right = request().SerializeToString() if encoding is Encoding.PROTOBUF else otlp_line()
    body = damaged(draw, right)
    try:
        _check(TRACES, encoding, body)
    except RefusedError:
        return
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "traces.raw"
        writer = FrameWriter(raw)
        for payload in (request("whole").SerializeToString(), body):
            writer.append(1.0, Encoding.PROTOBUF if payload is not body else encoding, payload)
        writer.close()
        lines = list(decode.otlp_json_lines(raw, {"agentrig.arm": "a"}))
    found = [span.name for span in decode.spans(lines)]
    assert found[0] == "whole"
    for line in lines:
        line.encode()


def packed(draw: random.Random) -> None:
    with contextlib.suppress(RefusedError):
        _gunzip(damaged(draw, gzip.compress(b"x" * 100)), 4096)


def model_call(draw: random.Random) -> None:
    path, right = draw.choice([*CALLS.items(), *WITH_SCHEMAS.items()])
    wire = Wires().of(path)
    assert wire is not None
    with contextlib.suppress(BadRequestError):
        body = draw.choice((damaged, odd_json))(draw, right)
        answer = answer_to(wire.parse(path, body), SimulatorConfig(tool_turns=1))
        assert wire.whole(answer)
        assert wire.chunks(answer)


class _Near:
    """A connection on which an answer comes in pieces."""

    def __init__(self, draw: random.Random, answer: bytes) -> None:
        self._draw, self._left = draw, answer

    def send(self, data: bytes, /) -> int:
        return len(data)

    def sendall(self, data: bytes, /) -> None:
        pass

    def recv(self, size: int, /) -> bytes:
        piece = self._left[: min(size, self._draw.randint(1, 200))]
        self._left = self._left[len(piece) :]
        return piece


def agents_answer(draw: random.Random) -> None:
    with contextlib.suppress(HTTPParseError, HTTPConnectionClosed, httptools.HttpParserError):
        near = _Near(draw, damaged(draw, ANSWER))
        reply, _ = exchange(near, b"POST / HTTP/1.1\r\n\r\n", lambda: 0.0)
        kind = draw.choice((reply.header(b"content-type") or "", *KINDS))
        said = draw.choice(READERS).read(reply.status, kind, reply.body)
        said.text.encode()
        if said.failure is not None:
            json.dumps(said.failure.error).encode()
            said.failure.error.encode()


def run_folder(draw: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = damaged_files(draw, Path(folder) / "run", run_files())
        read_with(draw.choice(READ_A_RUN), run, Path(folder) / "out")
        with contextlib.suppress(AgentrigError):
            of_run(run).refresh()


def gate_folder(draw: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = damaged_files(draw, Path(folder) / "run", gate_files())
        read_with(draw.choice(READ_A_GATE), run, Path(folder) / "out")


def damaged_files(draw: random.Random, folder: Path, right: Mapping[str, bytes]) -> Path:
    folder.mkdir()
    for name, content in right.items():
        (folder / name).write_bytes(content)
    for name in draw.sample(sorted(right), draw.choice((1, 1, 2))):
        damage = draw.choice((damaged, cut))
        (folder / name).write_bytes(damage(draw, right[name]))
    return folder


def read_with(words: Sequence[str], run: Path, out: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        code = call([word.format(run=run, out=out, history=run / HISTORY) for word in words])
    no_end = {ExitCode.NOT_STARTED} if words[0] == "github" else set()  # of a gate that left none
    assert code in VERDICTS | no_end, f"{' '.join(words)}: exit code {code}"


def workload(draw: random.Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file, prices = Path(folder) / "workload.toml", Path(folder) / "prices.toml"
        file.write_bytes(damaged(draw, WORKLOAD))
        prices.write_bytes(damaged(draw, PRICES))
        with contextlib.suppress(AgentrigError):
            read_workload(file).simulator()
        with contextlib.suppress(AgentrigError):
            read_prices(prices)


def store(draw: random.Random) -> None:
    form = draw.choice(list(FORMS.values()))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spans"
        file.write_bytes(damaged(draw, form))
        source, gathering = Files(file), Gathering()
        with contextlib.suppress(AgentrigError):
            gathering.take(source.spans(NOW))
        for history in gathering.histories(Known()).values():
            summarise(history)


TARGETS: Mapping[str, Callable[[random.Random], None]] = {
    target.__name__: target
    for target in (
        *(
            experiment,
            own_agent,
            project,
            otlp,
            packed,
            model_call,
            agents_answer,
            run_folder,
            gate_folder,
            workload,
            store,
        ),
        *HTTP_TARGETS,
    )
}
SHARES = {
    "store": 0.5,
    "run_folder": 0.02,
    "gate_folder": 0.02,
    "workload": 0.1,
    "experiment": 0.1,
    "project": 0.1,
    "own_agent": 0.3,
    "agent_http": 0.2,
    "simulator_http": 0.3,
    "capture_http": 0.3,
    "tools_http": 0.1,
}
"""Of the inputs of the others, for those that take longer."""
