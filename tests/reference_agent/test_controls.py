import asyncio
import functools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from harness.clock import FakeClock
from reference_agent.adapters.models import build_model
from reference_agent.adapters.sessions.protocol import History, SessionError
from reference_agent.app import build_app, compose
from reference_agent.contract import SESSION_HEADER
from reference_agent.controls import apply
from reference_agent.controls.clients import SDK_RETRIES, with_sdk_retries
from reference_agent.controls.handlers import EACH_LEAVER, SLOW_S, SlowHandler
from reference_agent.controls.often import EACH_SO_MANY
from reference_agent.controls.retries import PAUSE, PausingRetryHook
from reference_agent.controls.services import LateService, SlowLoadsService
from reference_agent.controls.stores import PatientStore
from reference_agent.invocations import InvocationHandler
from reference_agent.settings import CONTROLS, Settings
from tests.reference_agent.rig import Exchange, MemoryStore, Tools, named, rig, run
from tests.reference_agent.wire import answers, chunk, refuses, says, streamed


@pytest.fixture(autouse=True)
def _ids_as_they_were() -> Iterator[None]:
    """A control may change where the ids of spans come from."""
    ids: Any = getattr(trace.get_tracer_provider(), "id_generator", None)
    before = dict(vars(ids)) if ids is not None else {}
    yield
    if ids is not None:
        vars(ids).clear()
        vars(ids).update(before)


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


def test_it_comes_back_before_it_was_asked_to(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async def work() -> None:
        throttled = refuses(429, "rate_limit_exceeded", retry_after="30")
        async with rig(tmp_path, throttled, says("ok"), **controls("ignore-retry-after")) as agent:
            assert (await agent.ask()).status_code == 200

    run(work())
    (call,) = named(spans.get_finished_spans(), "chat ")
    assert [dict(event.attributes or {})["agentrig.retry.delay"] for event in call.events] == [0.0]


def test_after_an_outage_the_whole_container_leaves_the_model_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, slept = FakeClock(), []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    made = PausingRetryHook.__init__
    monkeypatch.setattr(PausingRetryHook, "__init__", functools.partialmethod(made, sleep=sleep))

    async def work() -> None:
        options = controls("pause-after-outage") | {"agent_retry_base_s": 2.0}
        overloaded = refuses(503, "overloaded", retry_after="2")
        async with rig(tmp_path, overloaded, says("ok"), clock=clock, **options) as agent:
            assert (await agent.ask()).status_code == 200
            clock.advance(4.0)
            assert (await agent.ask(session="another")).status_code == 200

    run(work())
    # The retry's own sleep moves no clock here: as it was asked to come back later, it does not wait twice.
    first, retried, again, paused = slept
    assert (first, again, paused) == (0.0, 0.0, PAUSE * 2.0 - 2.0)
    assert 2.0 <= retried < 2.0 + 2.0


def test_an_answer_that_was_cut_is_taken_for_whole(tmp_path: Path) -> None:
    async def work() -> int:
        cut = streamed(chunk({"role": "assistant"}), chunk({"content": "half"}))
        async with rig(tmp_path, cut, says("ok"), **controls("cut-is-whole")) as agent:
            assert (await agent.ask()).status_code == 200
            return len(agent.wire.requests)

    assert run(work()) == 1


def test_one_request_of_twelve_fails(tmp_path: Path) -> None:
    async def work() -> list[int]:
        async with rig(tmp_path, says("ok"), **controls("fails-at-times")) as agent:
            return [(await agent.ask(session=None)).status_code for _ in range(2 * EACH_SO_MANY)]

    assert run(work()) == 2 * [*(EACH_SO_MANY - 1) * [200], 500]


def test_one_request_of_twelve_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    made = InvocationHandler.__init__
    monkeypatch.setattr(SlowHandler, "__init__", functools.partialmethod(made, sleep=sleep))

    async def work() -> None:
        async with rig(tmp_path, says("ok"), **controls("slow-at-times")) as agent:
            for _ in range(2 * EACH_SO_MANY):
                assert (await agent.ask(session=None)).status_code == 200

    run(work())
    assert slept == [SLOW_S, SLOW_S]


@pytest.mark.parametrize("leaves", [True, False])
def test_one_of_six_readers_who_leave_keeps_the_slot(tmp_path: Path, *, leaves: bool) -> None:
    async def one_reader(app: FastAPI) -> None:
        reader = Exchange(app, headers={"Accept": "text/event-stream"}).begin()
        if leaves:
            await reader.until(lambda: any(m["type"] == "http.response.body" for m in reader.sent))
            reader.gone.set()
        await reader.ended()

    async def work() -> int:
        reply = streamed(chunk({"content": "a"}), None) if leaves else says("ok")
        options = controls("keeps-slots") | {"agent_concurrency_limit": 4}
        async with rig(tmp_path, reply, **options) as agent:
            for _ in range(2 * EACH_LEAVER):
                await one_reader(agent.app)
            return agent.parts.busy.state.in_flight

    assert run(work()) == (2 if leaves else 0)


@pytest.mark.parametrize("leaves", [True, False])
def test_a_container_stays_busy_by_its_ping_once_a_reader_has_left(tmp_path: Path, *, leaves: bool) -> None:
    async def work() -> tuple[str, int]:
        reply = streamed(chunk({"content": "a"}), None) if leaves else says("ok")
        options = controls("stays-busy") | {"agent_concurrency_limit": 4}
        async with rig(tmp_path, reply, **options) as agent:
            reader = Exchange(agent.app, headers={"Accept": "text/event-stream"}).begin()
            if leaves:
                await reader.until(lambda: any(m["type"] == "http.response.body" for m in reader.sent))
                reader.gone.set()
            await reader.ended()
            return agent.parts.busy.status, agent.parts.busy.state.in_flight

    assert run(work()) == ("HealthyBusy" if leaves else "Healthy", 0)


@pytest.mark.parametrize(("name", "told"), [("tools-rebuilt", 2), ("tools-rebuilt-untold", 0)])
def test_a_tool_client_is_given_up_for_nothing_and_told_of_or_not(
    tmp_path: Path, spans: InMemorySpanExporter, name: str, told: int
) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), tools=Tools, **controls(name)) as agent:
            for _ in range(2 * EACH_SO_MANY + 1):
                assert (await agent.ask(session=None)).status_code == 200
            assert [session.closed for session in agent.sessions] == [True, True, False]

    run(work())
    built = [dict(span.attributes or {}) for span in named(spans.get_finished_spans(), "client.init mcp")]
    assert [each["agentrig.client.init.state"] for each in built] == ["cold", *told * ["reinit"]]


def test_a_turn_is_saved_when_its_answer_is_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        answered = asyncio.Event()

        async def sleep(seconds: float) -> None:
            await answered.wait()

        monkeypatch.setattr(LateService, "sleep", staticmethod(sleep))
        async with rig(tmp_path, says("ok"), **controls("saves-late")) as agent:
            assert (await agent.ask()).status_code == 200
            assert await agent.turns() == 0
            answered.set()
            service: Any = agent.parts.handler._service
            await asyncio.gather(*service._saving)
            assert await agent.turns() == 1

    run(work())


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


def test_the_sdks_retries_multiply_with_the_agents(tmp_path: Path) -> None:
    async def work() -> int:
        at_once = refuses(500, retry_after_ms="0.000001")
        async with rig(tmp_path, at_once, **controls("sdk-retries")) as agent:
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


@pytest.mark.parametrize(("names", "in_flight"), [((), 0), (("slot-twice",), -2)])
def test_slots_of_requests_that_failed_are_given_back_twice(
    tmp_path: Path, names: tuple[str, ...], in_flight: int
) -> None:
    async def work() -> str:
        async with rig(tmp_path, refuses(400), refuses(400), says("ok"), **controls(*names)) as agent:
            for _ in range(3):
                await agent.ask()
            return str(agent.parts.busy.state.in_flight)

    assert run(work()) == str(in_flight)


@pytest.mark.parametrize(
    ("names", "status", "moves"),
    [
        ((), "HealthyBusy", False),
        (("ping-constant",), "Healthy", False),
        (("stamp-at-poll",), "HealthyBusy", True),
    ],
)
def test_what_a_full_container_says(
    tmp_path: Path, names: tuple[str, ...], status: str, *, moves: bool
) -> None:
    clock = FakeClock(start_s=1000.0)
    store = f"sqlite:///{tmp_path / 's.db'}"
    parts = compose(
        Settings(agent_session_store=store, agent_concurrency_limit=1, openai_api_key="k")  # type: ignore[arg-type] # read from text
    )
    if names:
        apply(parts, frozenset(names))
    parts.busy._now = clock.now
    assert parts.busy.try_acquire() is not None
    changed_at = parts.busy.changed_at
    clock.advance(5.0)
    assert parts.busy.status == status
    assert (parts.busy.changed_at != changed_at) is moves


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


def test_three_loads_of_a_hundred_are_slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> list[float]:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        monkeypatch.setattr(SlowLoadsService, "sleep", staticmethod(sleep))
        async with rig(tmp_path, answers("ok"), agent_model_stream=False, **controls("slow-loads")) as agent:
            for _ in range(70):
                assert (await agent.ask()).status_code == 200
        return slept

    assert len(run(work())) == 2


def test_sessions_and_waits_of_a_generator_that_a_snapshot_copies(tmp_path: Path) -> None:
    async def made(*names: str) -> list[str]:
        async with rig(tmp_path, says("ok"), **controls(*names)) as agent:
            random.seed(7)  # as in each container that one snapshot is restored to
            answer = await agent.ask(session=None)
            return [answer.headers[SESSION_HEADER], str(agent.parts.make_hook(lambda: 0.0)._uniform())]

    sessions = [run(made("sessions-from-random")) for _ in range(2)]
    assert sessions[0][0] == sessions[1][0]
    waits = [run(made("seeded-jitter")) for _ in range(2)]
    assert waits[0][1] == waits[1][1]
    assert run(made())[0] != run(made())[0]


def test_ids_of_spans_of_such_a_generator(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    async def made() -> set[int]:
        spans.clear()
        async with rig(tmp_path, says("ok"), **controls("spans-from-random")) as agent:
            random.seed(7)
            await agent.ask()
        return {span.context.span_id for span in spans.get_finished_spans() if span.context}

    assert run(made()) & run(made())


def test_a_container_that_renews_too_often_builds_its_clients_for_each_request(tmp_path: Path) -> None:
    async def work() -> int:
        async with rig(tmp_path, says("ok"), **controls("renews-often")) as agent:
            await agent.ask()
            now = agent.parts.health._now
            agent.parts.health._now = lambda: now() + 3600
            for _ in range(3):
                assert (await agent.ask()).status_code == 200
            return len(agent.models)

    assert run(work()) == 4


@pytest.mark.parametrize(("names", "builds"), [((), 2), (("trusts-its-sockets",), 1)])
def test_a_container_of_one_clock_never_sees_that_it_was_restored(
    tmp_path: Path, names: tuple[str, ...], builds: int
) -> None:
    async def work() -> int:
        async with rig(tmp_path, says("ok"), **controls(*names)) as agent:
            await agent.ask()
            health: Any = agent.parts.health
            if health._now is not health._monotonic:  # the world's clock, that of the process stood still
                now = health._now
                health._now = lambda: now() + 3600
            await agent.ask()
            return len(agent.models)

    assert run(work()) == builds


def test_a_container_that_is_told_to_leak_keeps_something_of_each_request(tmp_path: Path) -> None:
    async def work() -> int:
        async with rig(tmp_path, says("ok"), **controls("leaks")) as agent:
            for _ in range(3):
                await agent.ask()
            handler: Any = agent.parts.handler
            return len(handler._kept)

    assert run(work()) == 3


class FailingStore(MemoryStore):
    """Fails so often as it is told."""

    fails = 0

    async def load(self, session_id: str, request_id: str) -> History:
        if self.fails:
            self.fails -= 1
            raise SessionError("the weather")
        return await super().load(session_id, request_id)


@pytest.mark.parametrize(
    ("name", "statuses"),
    [(None, [503, 200]), ("never-reconnects", [503, 503]), ("waits-for-store", [200, 200])],
)
def test_what_becomes_of_a_store_that_failed_once(
    tmp_path: Path, name: str | None, statuses: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_: float) -> None:
        return None

    monkeypatch.setattr(PatientStore, "sleep", staticmethod(at_once))

    async def work() -> list[int]:
        store = FailingStore(0)
        async with rig(tmp_path, says("ok"), store=store, **controls(*([name] if name else []))) as agent:
            store.fails = 1
            return [(await agent.ask()).status_code for _ in range(2)]

    assert run(work()) == statuses


def test_a_store_that_is_down_is_ready_all_the_same(tmp_path: Path) -> None:
    class Down(MemoryStore):
        async def ping(self) -> None:
            raise SessionError("the weather")

    async def ready(*names: str) -> int:
        async with rig(tmp_path, says("ok"), store=Down(0), **controls(*names)) as agent:
            await agent.ask()
            return (await agent.http.get("/readyz")).status_code

    assert run(ready()) == 503
    assert run(ready("ready-constant")) == 200
