import asyncio
from pathlib import Path

import pytest

from harness.clock import FakeClock
from reference_agent.contract import DEGRADED_HEADER
from tests.reference_agent.rig import Tools, one_in_work, rig, run
from tests.reference_agent.wire import chunk, says, streamed

HANGS = streamed(chunk({"content": "a"}), None)


def test_ping_tells_of_the_limit_while_it_is_reached(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, HANGS, agent_concurrency_limit=1) as agent:
            idle = await agent.http.get("/ping")
            busy = await one_in_work(agent)
            at_work = await agent.http.get("/ping")
            busy.gone.set()
            await busy.ended()
            after = await agent.http.get("/ping")
            assert [a.json()["status"] for a in (idle, at_work, after)] == [
                "Healthy",
                "HealthyBusy",
                "Healthy",
            ]
            assert all(type(a.json()["time_of_last_update"]) is int for a in (idle, at_work, after))
            assert set(idle.json()) == {"status", "time_of_last_update"}
            assert [DEGRADED_HEADER in a.headers for a in (idle, at_work, after)] == [False, True, False]

    run(work())


def test_ready_says_why_not(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, HANGS, agent_concurrency_limit=1) as agent:

            async def reason() -> tuple[int, str | None]:
                answer = await agent.http.get("/readyz")
                return answer.status_code, answer.json()["reason"]

            assert await reason() == (200, None)
            busy = await one_in_work(agent)
            assert await reason() == (503, "busy")
            busy.gone.set()
            await busy.ended()
            agent.parts.health.drain()
            assert await reason() == (503, "draining")
            assert (await agent.http.get("/livez")).status_code == 200

    run(work())


def test_ping_says_busy_while_the_container_leaves(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            agent.parts.health.drain()
            ping = await agent.http.get("/ping")
            assert (ping.json()["status"], ping.headers[DEGRADED_HEADER]) == ("HealthyBusy", "true")

    run(work())


async def settled() -> None:
    """Let what was begun in the background come to its end."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.parametrize("probe", ["/ping", "/readyz"])
def test_a_container_that_lacks_a_client_is_not_ready_and_the_probes_try_again(
    tmp_path: Path, probe: str
) -> None:
    clock, broken = FakeClock(), [True]

    async def build() -> None:
        if broken:
            raise ConnectionError

    async def work() -> None:
        async with rig(tmp_path, says("ok"), build=build, clock=clock) as agent:
            assert (await agent.http.get("/readyz")).status_code == 200  # nobody has tried yet
            lost = await agent.ask()
            assert (lost.status_code, lost.headers["x-agent-busy"]) == (503, "1")
            ready = await agent.http.get("/readyz")
            assert (ready.status_code, ready.json()["reason"]) == (503, "the llm client can't be built")
            assert (await agent.http.get("/ping")).json()["status"] == "HealthyBusy"
            broken.clear()
            await agent.http.get(probe)
            await settled()
            assert not agent.models  # too soon
            clock.advance(10)
            await agent.http.get(probe)
            await settled()
            assert (await agent.http.get("/readyz")).status_code == 200
            assert (await agent.http.get("/ping")).json()["status"] == "Healthy"

    run(work())


def test_warmed_up_it_is_ready_when_its_clients_are_built(tmp_path: Path) -> None:
    built = asyncio.Event()

    async def work() -> None:
        async with rig(tmp_path, says("ok"), tools=Tools, build=built.wait, agent_warm_up=True) as agent:
            ready = await agent.http.get("/readyz")
            assert (ready.status_code, ready.json()["reason"]) == (503, "starting")
            assert (await agent.http.get("/ping")).json()["status"] == "HealthyBusy"
            built.set()
            await settled()
            assert (await agent.http.get("/readyz")).status_code == 200
            assert (len(agent.models), len(agent.sessions)) == (1, 1)
            assert (await agent.ask()).status_code == 200
            assert len(agent.models) == 1

    run(work())
