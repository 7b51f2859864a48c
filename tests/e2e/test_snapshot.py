"""A process that is restored from a snapshot finds its connections dead, and no caller is told of it."""

from pathlib import Path

import pytest

from harness.fleet.ports import HOST
from reference_agent.health import RESTORED_S
from tests.e2e.address import Address
from tests.e2e.in_process import serving
from tests.e2e.redis_server import redis_server
from tests.e2e.simulating import running
from tests.e2e.test_agent_lifecycle import NEVER_S
from tests.e2e.test_hang_ups import tool_server
from tests.reference_agent.rig import run

pytestmark = pytest.mark.e2e


def port_of(url: str) -> int:
    return int(url.split(":")[2].split("/", maxsplit=1)[0])


def test_dead_connections_of_another_time_cost_no_error(tmp_path: Path) -> None:
    async def work() -> None:
        options = {
            "agent_session_store": f"redis://{HOST}:{store.port}/0",
            "mcp_server_url": f"http://{HOST}:{tools.port}/mcp",
            "agent_model_silence_s": NEVER_S,
            "agent_retry_max_attempts": 1,
        }
        async with serving(f"http://{HOST}:{models.port}", **options) as agent:
            assert (await agent.ask()).status_code == 200
            opened = models.opened
            for address in (store, models, tools):
                address.forget()
            now = agent.parts.health._now
            agent.parts.health._now = lambda: now() + RESTORED_S + 1
            assert (await agent.ask()).status_code == 200
            assert (await agent.http.get("/readyz")).status_code == 200
            assert models.opened == opened + 1

    with (
        redis_server(tmp_path) as redis,
        running() as model,
        tool_server() as (tools_url, _),
        Address(redis.port) as store,
        Address(port_of(model.url)) as models,
        Address(port_of(tools_url)) as tools,
    ):
        run(work())
