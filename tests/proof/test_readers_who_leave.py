"""Readers who leave in mid-stream, and an agent that loses their slots beside one that does not."""

import json
import sys
from pathlib import Path

import pytest

from tests.e2e.command import finish, start

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
SETTINGS = f"""
[agent]
name = "streams"
command = ["{sys.executable}", "-m", "uvicorn", "tests.proof.streaming_agent:app", "--port", "{{port}}"]
[agent.env]
OPENAI_BASE_URL = "{{simulator}}/v1"
OPENAI_API_KEY = "{{api_key}}"
LIMIT = "{{limit}}"
PYTHONPATH = "{ROOT}"
[request]
path = "/stream"
stream = true
answer = "delta"
session_header = ""
"""


@pytest.mark.parametrize("careless", [False, True], ids=["gives slots back", "loses slots"])
def test_a_slot_that_is_lost_with_its_reader_is_found(tmp_path: Path, *, careless: bool) -> None:
    told = SETTINGS.replace("[request]", 'CARELESS = "yes"\n[request]') if careless else SETTINGS
    (tmp_path / "agentrig.toml").write_text(told)
    code, out, err = finish(start("run", "own-leave", "--quick", "--out", "out", cwd=tmp_path), 600.0)
    checks = json.loads((tmp_path / "out" / "verdict.json").read_text("utf-8"))["experiments"][0]["checks"]
    found = {(check["id"], check["arm"]): check["verdict"] for check in checks}
    assert found["served-after-leave", "keeps-slots"] == "pass", f"{out}\n{err}"
    assert found["served-after-leave", "yours"] == ("fail" if careless else "pass"), f"{out}\n{err}"
    assert code == (1 if careless else 0), f"{out}\n{err}"
