from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reference_agent.telemetry.detail import Detail
from reference_agent.telemetry.strands_spans import keep_words_from_strands
from tests.reference_agent.rig import SECRET_KEY, Tools, named, orphans, rig, run
from tests.reference_agent.wire import Reply, breaks, calls_tool, refuses, says

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}


def everything(spans: InMemorySpanExporter) -> str:
    return "".join(span.to_json() for span in spans.get_finished_spans())


def test_a_turn_is_one_trace_with_every_step_in_its_place(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async def work() -> None:
        async with rig(tmp_path, calls_tool("search"), says("found"), tools=Tools) as agent:
            await agent.ask(**CALLER)

    run(work())
    got = spans.get_finished_spans()
    by_id = {span.context.span_id: span.name for span in got}
    tree = [(span.name, by_id.get(span.parent.span_id) if span.parent else None) for span in got]
    assert sorted(tree, key=str) == sorted(
        [
            ("POST /invocations", None),
            ("session.load", "POST /invocations"),
            ("client.init llm", "POST /invocations"),
            ("client.init mcp", "POST /invocations"),
            ("invoke_agent agentrig", "POST /invocations"),
            ("chat gpt-4o-mini", "invoke_agent agentrig"),
            ("POST /v1/chat/completions", "chat gpt-4o-mini"),
            ("execute_tool search", "invoke_agent agentrig"),
            ("chat gpt-4o-mini", "invoke_agent agentrig"),
            ("POST /v1/chat/completions", "chat gpt-4o-mini"),
            ("session.save", "POST /invocations"),
        ],
        key=str,
    )
    assert {format(span.context.trace_id, "032x") for span in got} == {TRACE_ID}


@pytest.mark.parametrize("path", ["/ping", "/livez", "/readyz", "/metrics"])
def test_asking_how_it_is_leaves_no_trace(path: str, tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            await agent.http.get(path)

    run(work())
    assert not spans.get_finished_spans()


def test_a_path_that_only_contains_such_a_word_is_traced(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            await agent.http.post("http://shopping.example/invocations", json={"prompt": "hi"})

    run(work())
    assert named(spans.get_finished_spans(), "POST /invocations")


@pytest.mark.parametrize(
    "reply",
    [
        says("the canary sings"),
        refuses(400, "invalid_value", message=f"canary in the prompt, with key {SECRET_KEY}"),
        refuses(401, "invalid_api_key", message=f"Incorrect API key provided: {SECRET_KEY}"),
        breaks(RuntimeError("a mistake about the canary")),
    ],
    ids=["success", "refused", "key", "mistake"],
)
def test_neither_prompts_nor_keys_get_into_spans_logs_or_errors(
    tmp_path: Path, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    async def work() -> str:
        async with rig(tmp_path, reply, tools=Tools) as agent:
            answer = await agent.ask("tell of the canary")
            return "" if answer.status_code == 200 else answer.text

    told = run(work())
    for text in (everything(spans), told, "".join(record.getMessage() for record in caplog.records)):
        assert "canary" not in text
        assert SECRET_KEY not in text


@pytest.mark.parametrize(("flag", "expected"), [("00", 0), ("01", 1)])
def test_whether_a_trace_is_kept_is_the_callers_decision(
    flag: str, expected: int, tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            await agent.ask(traceparent=f"00-{TRACE_ID}-b7ad6b7169203331-{flag}")

    run(work())
    assert len(named(spans.get_finished_spans(), "POST /invocations")) == expected
    assert not expected or len(spans.get_finished_spans()) > 5


@pytest.mark.usefixtures("strands_anew")
@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.5, 1), (1.0, 2)])
def test_spans_of_stores_and_tools_are_there_for_a_share_of_the_traces(
    share: float, expected: int, tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    callers = [{"traceparent": f"00-{half}-b7ad6b7169203331-01"} for half in ("1" * 32, "f" * 32)]
    keep_words_from_strands(Detail(share))

    async def work() -> None:
        replies = (calls_tool("search"), says("a"), calls_tool("search"), says("b"))
        async with rig(tmp_path, *replies, tools=Tools, agent_detail_spans_share=share) as agent:
            for number, caller in enumerate(callers):
                assert (await agent.ask(session=str(number), **caller)).status_code == 200

    run(work())
    got = spans.get_finished_spans()
    assert not orphans(got)
    assert len(named(got, "invoke_agent")) == 2
    for name in ("session.load", "session.save", "execute_tool search"):
        assert len(named(got, name)) == expected
