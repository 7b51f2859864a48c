"""An agent that remembers earlier runs, in a file of its own, gets the same verdict time and again."""

import json
import sys
from pathlib import Path

import pytest

from tests.e2e.command import finish, start

pytestmark = [pytest.mark.proof, pytest.mark.timeout(1800)]
DEADLINE_S = 900.0
AGENT = f"""
[agent]
name = "remembers"
command = ["{sys.executable}", "-m", "reference_agent"]
concurrency_limit = 4
ready = "/readyz"
[agent.env]
PORT = "{{port}}"
OPENAI_BASE_URL = "{{simulator}}/v1"
OPENAI_API_KEY = "{{api_key}}"
AGENT_CONCURRENCY_LIMIT = "{{limit}}"
AGENT_SESSION_STORE = "sqlite:///@FILE@"
OTEL_EXPORTER_OTLP_ENDPOINT = "{{otlp}}"
"""


def test_the_second_run_of_an_agent_with_a_store_in_a_file_says_what_the_first_said(tmp_path: Path) -> None:
    store = tmp_path / "remembered.db"
    (tmp_path / "agentrig.toml").write_text(AGENT.replace("@FILE@", str(store)))
    said, kept = [], []
    for number in (1, 2, 3):
        out = f"out-{number}"
        run = ("run", "own-sessions", "--quick", "--agent", "agentrig.toml", "--out", out)
        code, printed, err = finish(start(*run, cwd=tmp_path), DEADLINE_S)
        assert code == 0, f"{printed}\n{err}"
        (experiment,) = json.loads((tmp_path / out / "verdict.json").read_text("utf-8"))["experiments"]
        said.append({(each["id"], each["arm"]): each["verdict"] for each in experiment["checks"]})
        kept.append(sum(file.stat().st_size for file in tmp_path.glob(f"{store.name}*")))
    assert said[0] == said[1] == said[2]
    assert set(said[0].values()) == {"pass"}
    assert 0 < kept[0] < kept[1] < kept[2]  # it does remember them
