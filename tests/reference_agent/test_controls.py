import asyncio
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from harness.clock import FakeClock
from reference_agent.adapters.models import build_model
from reference_agent.app import build_app, compose
from reference_agent.controls import SDK_RETRIES, apply, with_sdk_retries
from reference_agent.settings import CONTROLS, Settings
from tests.reference_agent.rig import Exchange, MemoryStore, Tools, named, rig, run
from tests.reference_agent.wire import answers, chunk, refuses, says, streamed


def controls(*names: str) -> dict[str, Any]:
    return {"agent_controls": ",".join(names)}


def test_clients_per_request_are_built_and_closed_for_each(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), tools=Tools, **controls("per-request-clients")) as agent:
            for _ in range(3):
                await agent.ask()
            assert (len(agent.models), agent.wire.closed) == (3, 3)
            assert [session.closed for session in agent.sessions] == [True] * 3

    run(work())
    assert len(named(spans.get_finished_spans(), "client.init llm")) == 3
    assert len(named(spans.get_finished_spans(), "client.init mcp")) == 3


def test_a_naive_cache_is_built_by_all_who_come_first(tmp_path: Path) -> None:
    store = MemoryStore(4)

    async def work() -> None:
        options = controls("naive-cache")
        async with rig(tmp_path, says("ok"), store=store, build=store.all_came, **options) as agent:
            await asyncio.gather(*(agent.ask(session=f"s{n}") for n in range(4)))
            assert len(agent.models) == 4
            await agent.ask()
            assert len(agent.models) == 4

    run(work())


@pytest.mark.parametrize(
    ("name", "status", "ready"), [("queue-at-limit", "Healthy", 200), ("queue-and-tell", "HealthyBusy", 503)]
)
def test_at_the_limit_it_queues_and_looks_healthy_or_says_so(
    tmp_path: Path, spans: InMemorySpanExporter, name: str, status: str, ready: int
) -> None:
    clock = FakeClock()

    async def work() -> None:
        hangs = streamed(chunk({"content": "a"}), None)
        options = controls(name) | {"agent_concurrency_limit": 1}
        async with rig(tmp_path, hangs, says("ok"), clock=clock, **options) as agent:
            first = Exchange(agent.app).begin()
            await agent.wire.hanging.wait()
            waiting = asyncio.create_task(agent.ask())
            assert (await agent.http.get("/ping")).json()["status"] == status
            assert (await agent.http.get("/readyz")).status_code == ready
            assert len(agent.wire.requests) == 1
            for _ in range(100):  # steps of the event loop, until the second one waits for a slot
                await asyncio.sleep(0)
            clock.advance(1.5)
            first.gone.set()
            await first.ended()
            assert (await waiting).status_code == 200

    run(work())
    waited = [
        dict(span.attributes or {}).get("agentrig.queue.wait")
        for span in named(spans.get_finished_spans(), "POST /invocations")
    ]
    assert waited == [0.0, 1.5]


@pytest.mark.parametrize(
    ("names", "reply", "attempts"),
    [
        ((), refuses(401, "invalid_api_key"), 1),
        (("retry-everything",), refuses(401, "invalid_api_key"), 3),
        (("no-retry",), refuses(503), 1),
        ((), refuses(503), 3),
        (("sdk-retries",), refuses(401, "invalid_api_key"), 1),
    ],
)
def test_how_often_it_tries(tmp_path: Path, names: tuple[str, ...], reply: Any, attempts: int) -> None:
    async def work() -> int:
        async with rig(tmp_path, reply, **controls(*names)) as agent:
            await agent.ask()
            return len(agent.wire.requests)

    assert run(work()) == attempts


def test_without_jitter_it_comes_back_at_the_very_instant(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async def work() -> None:
        throttled = refuses(429, "rate_limit_exceeded", retry_after_ms="1")
        options = controls("no-jitter") | {"agent_retry_base_s": 2.0}
        async with rig(tmp_path, throttled, throttled, says("ok"), **options) as agent:
            assert (await agent.ask()).status_code == 200

    run(work())
    (call,) = named(spans.get_finished_spans(), "chat ")
    delays = [dict(event.attributes or {})["agentrig.retry.delay"] for event in call.events]
    assert delays == [0.001, 0.001]


def test_a_shared_agent_leaks(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async def work() -> None:
        async with rig(
            tmp_path, answers("ok"), agent_model_stream=False, **controls("shared-agent")
        ) as agent:
            await agent.ask("the secret of Ada", session="ada")
            await agent.ask("what do you know?", session="bob")
            assert "the secret of Ada" in str(agent.wire.bodies[1])

    run(work())
    agents = named(spans.get_finished_spans(), "invoke_agent")
    assert len({dict(span.attributes or {})["agentrig.agent.id"] for span in agents}) == 1


def test_the_sdks_retries_multiply_with_the_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)

    async def work() -> int:
        async with rig(tmp_path, refuses(500), **controls("sdk-retries")) as agent:
            await agent.ask()
            return len(agent.wire.requests)

    assert run(work()) == 3 * (1 + SDK_RETRIES)


def test_the_retries_of_bedrocks_sdk_are_turned_on_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settings = Settings(
        agent_model_provider="bedrock",
        agent_model_id="m",
        agent_model_stream=False,
        agent_concurrency_limit=40,
        aws_endpoint_url_bedrock_runtime="http://127.0.0.1:9",
        aws_region="eu-west-1",
    )
    right: Any = run(build_model(settings)).model
    wrong: Any = run(with_sdk_retries(lambda: build_model(settings))).model
    meta, expected = wrong.client.meta, right.client.meta
    assert meta.config.retries["total_max_attempts"] == 1 + SDK_RETRIES
    assert meta.config.max_pool_connections == expected.config.max_pool_connections >= 40
    assert (meta.endpoint_url, meta.region_name) == ("http://127.0.0.1:9", "eu-west-1")
    assert (type(wrong), wrong.get_config()) == (type(right), right.get_config())


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_composes_and_is_warned_of(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = f"sqlite:///{tmp_path / 's.db'}"
    parts = compose(Settings(agent_session_store=store, openai_api_key="k"))  # type: ignore[arg-type]
    apply(parts, frozenset({name}))
    assert build_app(parts).routes
    assert name in caplog.text


def test_no_control_is_on_by_default(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")):
            pass

    run(work())
    assert not caplog.records
