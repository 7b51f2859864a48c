"""A process that was restored from a snapshot, and what of it must not be of the time before."""

import asyncio
import random
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from harness.clock import FakeClock
from reference_agent.contract import AGENT_ID, REQUEST_HEADER, SESSION_HEADER
from reference_agent.health import RESTORED_S
from reference_agent.patterns.retry import Failure, RetryPolicy
from reference_agent.patterns.retry import decide as jitter
from tests.reference_agent.rig import MemoryStore, Rig, Tools, rig, run
from tests.reference_agent.wire import says


class Reconnecting(MemoryStore):
    reconnected = 0

    async def reconnect(self) -> None:
        self.reconnected += 1


def on_clocks(agent: Rig) -> tuple[FakeClock, FakeClock]:
    """Give the agent a world's clock and one of its own, which tell the same until one is moved alone."""
    world, own = FakeClock(), FakeClock()
    agent.parts.health._now, agent.parts.health._monotonic = world.now, own.monotonic
    agent.parts.health._offset_s = world.now()
    agent.parts.busy._now = world.now
    return world, own


@pytest.mark.parametrize("first", ["GET /ping", "GET /readyz", "DELETE /sessions/t", "POST /invocations"])
def test_a_restored_container_builds_its_clients_anew_and_stamps_its_status(
    first: str, tmp_path: Path
) -> None:
    store = Reconnecting(0)

    async def work() -> None:
        async with rig(tmp_path, says("ok"), tools=Tools, store=store) as agent:
            world, own = on_clocks(agent)
            await agent.ask()
            world.advance(1000.0)
            own.advance(1000.0)  # it was idle, and nothing else
            await agent.ask()
            assert (len(agent.models), store.reconnected) == (1, 0)
            world.advance(RESTORED_S + 1)
            if first == "POST /invocations":
                assert (await agent.ask()).status_code == 200
            else:
                assert (await agent.http.request(*first.split())).is_success
                assert store.reconnected == 1
            assert (await agent.http.get("/ping")).json()["time_of_last_update"] == int(world.now())
            assert (await agent.ask()).status_code == 200
            assert (len(agent.models), len(agent.sessions), store.reconnected) == (2, 2, 1)
            await asyncio.sleep(0)
            assert [session.closed for session in agent.sessions] == [True, False]

    run(work())


def test_ids_and_waits_do_not_come_from_a_generator_that_a_snapshot_copies(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    async def made() -> list[object]:
        spans.clear()
        async with rig(tmp_path, says("ok")) as agent:
            random.seed(7)  # as in each container that one snapshot is restored to
            answer = await agent.ask(session=None)
            told: list[object] = [agent.parts.make_hook(lambda: 0.0)._uniform()]
            told += [jitter(RetryPolicy(), 1, Failure(transient=True), 0.0)]
        contexts = [span.context for span in spans.get_finished_spans() if span.context]
        agents = [(span.attributes or {}).get(AGENT_ID) for span in spans.get_finished_spans()]
        ids = [*(context.span_id for context in contexts), *{context.trace_id for context in contexts}]
        assert len(ids) > 3
        assert any(agents)
        sent = [answer.headers[SESSION_HEADER], answer.headers[REQUEST_HEADER]]
        return [*told, *ids, *filter(None, agents), *sent]

    one, other = run(made()), run(made())
    assert not set(one) & set(other)
