from pathlib import Path

from reference_agent.contract import DEGRADED_HEADER
from tests.reference_agent.rig import one_in_work, rig, run
from tests.reference_agent.wire import chunk, streamed

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
