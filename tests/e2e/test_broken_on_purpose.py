"""Each way to break the reference agent still breaks a running one: the proof that needs them takes long."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.simulator_config import FaultRule, SimulatorConfig
from tests.e2e.simulating import running

pytestmark = pytest.mark.e2e
CONFIG = SimulatorConfig(tool_turns=0, faults=(FaultRule(kind="overloaded", probability=0.2),))
EACH = """
import asyncio, os, sys, traceback
from collections import Counter
import httpx
from reference_agent.app import build_app, compose
from reference_agent.settings import Settings
from tests.proof.broken_agent import WAYS

told = {"openai_base_url": sys.argv[1] + "/v1", "openai_api_key": "none", "agent_retry_base_s": 0.01}
settings = Settings(**told, agent_session_store=sys.argv[2])

async def answers():
    app = build_app(compose(settings))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://agent", timeout=30) as client:
            asked = [client.post("/invocations", json={"prompt": f"Hello {n}"}) for n in range(12)]
            return Counter([answer.status_code for answer in await asyncio.gather(*asked)])

for name, way in WAYS.items():
    if (child := os.fork()) == 0:  # all was imported once, and no way sees what another one did
        try:
            way()
            seen = asyncio.run(answers())
            assert seen[200] and not seen[500], seen
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{name}: no such agent works")
print(len(WAYS))
"""


def test_an_agent_that_was_broken_on_purpose_works_all_the_same(tmp_path: Path) -> None:
    store = tmp_path / "sessions.db"
    with running(CONFIG) as simulator:
        asking = [sys.executable, "-c", EACH, simulator.url, f"sqlite:///{store}"]
        done = subprocess.run(asking, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) >= 20
    assert store.exists(), "else it is in the folder of whoever runs this"
