"""A turn with marked words everywhere leaves none of them in spans, logs or metrics."""

import importlib
import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import strands.telemetry.tracer as strands_tracer
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest
from strands import tool

from reference_agent.telemetry.logs import JsonLines
from reference_agent.telemetry.redaction import OPT_IN
from reference_agent.telemetry.strands_spans import keep_words_from_strands
from tests.reference_agent.rig import Tools, rig, run
from tests.reference_agent.telemetry.opt_ins import COMBINATIONS
from tests.reference_agent.wire import Reply, breaks, calls_tool, refuses, says

ENVIRONMENTS = [
    *({OPT_IN: opted} for opted in COMBINATIONS),
    {},
    {"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": ".*"},
    {"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": ".*"},
    {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://langfuse.example", OPT_IN: "gen_ai_span_attributes_only"},
]
CANARY = "canary"
CALLER = {"x-secret": CANARY, "user-agent": CANARY, "baggage": f"words={CANARY}"}


@tool
def search(query: str) -> str:
    """Search for facts.

    Args:
        query: what for.
    """
    if query.endswith("!"):
        raise ValueError(f"the {CANARY} broke the tool")
    return f"{CANARY} in a tool's result"


ASKED = '{"query": "canary in an argument"}'
TURNS: dict[str, tuple[Reply, ...]] = {
    "tool": (calls_tool("search", ASKED), says("the canary sings")),
    "tool fails": (calls_tool("search", '{"query": "canary!"}'), says("the canary sings")),
    "malformed": (calls_tool("search", '{"query": "canary'), says("the canary sings")),
    "refused": (refuses(400, "canary of a code", message="canary in an error"),),
    "retried": (refuses(500, message="canary in an error"), says("the canary sings")),
    "mistake": (breaks(RuntimeError("a mistake about the canary")),),
    "filtered": (says("the canary", finish="content_filter"),),
}


@contextmanager
def written() -> Iterator[io.StringIO]:
    """Keep what is logged within, each record as the process would write it."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def anew(strands_anew: None) -> Iterator[None]:
    """Let both libraries read the environment again, as in a new process."""
    read_again()
    yield
    read_again()


def read_again() -> None:
    """Load OpenTelemetry's instrumentations anew: which names they use is decided once."""
    for name in sorted(name for name in sys.modules if name.startswith("opentelemetry.instrumentation")):
        importlib.reload(sys.modules[name])


async def turn(folder: Path, replies: tuple[Reply, ...], **settings: Any) -> None:
    at = {"agent_system_prompt": f"You are a {CANARY}.", "agent_model_stream": True, **settings}
    async with rig(folder, *replies, tools=lambda: Tools(search), **at) as agent:
        await agent.ask(f"tell of the {CANARY}", **CALLER)
        await agent.http.post(f"/invocations?q={CANARY}", json={"prompt": CANARY}, headers=CALLER)
        await agent.http.post("/invocations", content=f"no JSON: {CANARY}", headers=CALLER)


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=str)
def test_no_words_are_sent_whatever_the_environment_says(
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spans: InMemorySpanExporter,
) -> None:
    monkeypatch.delenv(OPT_IN, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    keep_words_from_strands()
    with written() as lines:
        run(turn(tmp_path, TURNS["tool"]))
    got = spans.get_finished_spans()
    assert {"POST /invocations", "invoke_agent agentrig", "execute_tool search"} <= {s.name for s in got}
    server = next(span for span in got if span.name == "POST /invocations")
    assert {"http.request.method", "http.response.status_code", "http.route"} <= set(server.attributes or {})
    assert CANARY not in "".join(span.to_json() for span in got) + lines.getvalue()
    assert CANARY not in generate_latest().decode()


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize("kind", TURNS)
@pytest.mark.parametrize("opted", ["", "http"])
def test_no_words_are_sent_however_a_turn_ends(
    kind: str,
    opted: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spans: InMemorySpanExporter,
) -> None:
    monkeypatch.setenv(OPT_IN, opted)
    keep_words_from_strands()
    with written() as lines:
        run(turn(tmp_path, TURNS[kind]))
    got = spans.get_finished_spans()
    assert got
    assert CANARY not in "".join(span.to_json() for span in got) + lines.getvalue()


@pytest.mark.usefixtures("anew")
def test_what_strands_would_say_is_held_back_also_where_its_tracer_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter
) -> None:
    monkeypatch.setenv(OPT_IN, "gen_ai_span_attributes_only")
    strands_tracer.get_tracer()  # it reads the environment here
    run(turn(tmp_path, TURNS["tool fails"]))
    got = spans.get_finished_spans()
    assert any(span.name == "execute_tool search" for span in got)
    assert CANARY not in "".join(span.to_json() for span in got)
