import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util.re import parse_env_headers

from reference_agent.telemetry.logs import JsonLines, log_as_json
from tests.reference_agent.rig import rig, run
from tests.reference_agent.wire import says


def line(record: logging.LogRecord) -> dict[str, object]:
    text = JsonLines().format(record)
    assert "\n" not in text
    read: dict[str, object] = json.loads(text)
    return read


def record(
    message: str = "%s done", *arguments: object, logger: str = "reference_agent.x"
) -> logging.LogRecord:
    return logging.LogRecord(logger, logging.WARNING, "file", 1, message, arguments, None, "work")


def test_a_line_is_one_json_object() -> None:
    written = line(record("%s\ndone", "work"))
    assert written.pop("time")
    assert written == {"level": "warning", "logger": "reference_agent.x", "message": "work\ndone"}


def test_a_line_names_the_trace_it_belongs_to(spans: InMemorySpanExporter) -> None:
    with trace.get_tracer("t").start_as_current_span("work") as span:
        written = line(record("x"))
    context = span.get_span_context()
    assert written["trace_id"] == format(context.trace_id, "032x")
    assert written["span_id"] == format(context.span_id, "016x")


@pytest.mark.parametrize("logger", ["strands.tools", "asyncio", "mcp.client", "openai", "reference_agents"])
def test_of_other_packages_only_the_place_is_told(logger: str) -> None:
    written = line(record("the tool said %s", "a prompt", logger=logger))
    assert (written["logger"], written["where"]) == (logger, "file:1 work")
    assert "said" not in json.dumps(written)


def test_a_header_that_opentelemetry_cannot_read_is_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    parse_env_headers("Authorization: Bearer a-secret")  # as a receiver's key is often written
    W3CBaggagePropagator().extract({"baggage": "a-secret, of a caller"})
    assert len(caplog.records) >= 2
    written = [JsonLines().format(each) for each in caplog.records]
    assert not [text for text in written if "secret" in text]


def test_words_are_written_when_they_were_asked_for() -> None:
    failed = record("the tool said %s", "a prompt", logger="strands.tools")
    failed.exc_info = (ValueError, ValueError("an error text"), None)
    written = json.loads(JsonLines(words=True).format(failed))
    assert (written["message"], written["exception_message"]) == ("the tool said a prompt", "an error text")


def test_an_exception_is_its_type_and_place_without_its_words() -> None:
    failed = record("x")
    try:
        int("a prompt")
    except ValueError:
        failed.exc_info = sys.exc_info()
    written = line(failed)
    assert written["exception"] == "ValueError"
    assert "test_logs.py" in str(written["frames"])
    assert "a prompt" not in json.dumps(written)


def test_a_mistake_of_the_agent_is_logged_with_its_place_and_told_as_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_agent(**_: Any) -> Any:
        raise KeyError("x")

    monkeypatch.setattr("reference_agent.agent.Agent", no_agent)

    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            answer = await agent.ask()
            assert (answer.status_code, answer.json()["error_type"]) == (500, "internal")

    run(work())
    (logged,) = [entry for entry in caplog.records if entry.name == "reference_agent.failures"]
    assert logged.exc_info is not None
    assert line(logged)["frames"]


def test_why_a_client_cannot_be_built_is_in_the_log_without_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise ConnectionError("refused with key sk-1")

    async def work() -> None:
        async with rig(tmp_path, says("ok"), build=fail) as agent:
            assert (await agent.ask()).status_code == 503

    run(work())
    (logged,) = [entry.getMessage() for entry in caplog.records if entry.name == "reference_agent.failures"]
    assert logged == "request failed: client_unavailable (503), ConnectionError"


@pytest.fixture
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each hook, logger and handler be again what it was."""
    for module, name in ((warnings, "showwarning"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    for name in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, name, getattr(sys, name))
    loggers = [logging.getLogger(name) for name in ("", "reference_agent", "uvicorn.error")]
    before = [(each.level, list(each.handlers)) for each in loggers]
    yield
    for each, (level, handlers) in zip(loggers, before, strict=True):
        each.setLevel(level)
        each.handlers[:] = handlers


class Ends:
    """Fails when nobody holds it any more: Python can only print that."""

    def __del__(self) -> None:
        raise ValueError("a prompt")


def fails() -> None:
    raise ValueError("a prompt")


@pytest.mark.usefixtures("as_it_was")
@pytest.mark.parametrize("words", [False, True])
def test_what_python_itself_would_print_is_a_line_without_words(
    capfd: pytest.CaptureFixture[str], *, words: bool
) -> None:
    log_as_json(words=words)
    warnings.showwarning("a prompt", UserWarning, "file", 1)
    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
    sys.unraisablehook(unraisable())
    try:
        fails()
    except ValueError:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]  # there is one
    said = capfd.readouterr()
    assert said.err == ""
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line.get("exception", line.get("message")) for line in lines] == [
        "UserWarning at file:1: a prompt" if words else "UserWarning at file:1",
        *["ValueError"] * 3,
    ]
    assert said.out.count("a prompt") == (len(lines) if words else 0)


def unraisable() -> Any:
    """Return what Python tells of an object that fails at its end."""
    told: list[Any] = []
    before, sys.unraisablehook = sys.unraisablehook, told.append
    Ends()
    sys.unraisablehook = before
    return told[0]
