"""The agents of docs/examples, started as their files say: what is found in the usual way, and mended."""

import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness.fleet.ports import HOST, Ports
from harness.own.config import read
from harness.process.child import Child
from harness.under_test import fill
from tests.e2e.agents import CLOCK, settings_here, start_simulator, wait_for
from tests.e2e.command import conform, finish, start, unless_the_machine_was_in_the_way
from tests.e2e.short_run import short_run
from tests.e2e.waiting import DEADLINE_S

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FRAMEWORKS = {"agentcore": "bedrock_agentcore", "fastapi-openai": "openai", "pydantic-ai": "pydantic_ai"}
SLOW = {"latency": {"ttft": {"median_s": 0.15}, "tokens": 4}}
NOT_MADE = {"sse-shape", "sessions-minted"}
"""What the examples don't do: they answer in one piece, and tell of no session that was not given."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def example(name: str) -> Path:
    """The folder; skipped where its framework isn't installed, but not in CI."""
    if importlib.util.find_spec(FRAMEWORKS[name]) is None:
        assert "CI" not in os.environ, f"{FRAMEWORKS[name]} is not installed: pip install -e '.[examples]'"
        pytest.skip(f"{FRAMEWORKS[name]} is not installed: pip install -e '.[examples]'")
    return EXAMPLES / name


@contextmanager
def serving(settings: Path, folder: Path) -> Iterator[str]:
    """One container of an agent over a simulator of its own; gives its address."""
    agent = read(settings).under_test(settings.parent)
    with ExitStack() as stack:
        ports = stack.enter_context(Ports())
        model, port = ports.reserve(), ports.reserve()
        places = {
            "port": str(port),
            "limit": str(agent.concurrency_limit),
            "simulator": f"http://{HOST}:{model}",
            "api_key": "sk-test",
            "sessions": str(folder / "sessions.db"),
        }
        simulator = start_simulator(stack, folder, model, SLOW)
        env = {**os.environ, **{key: fill(value, places) for key, value in agent.env.items()}}
        argv = [sys.executable, *(fill(word, places) for word in agent.argv[1:])]
        container = Child("agent", argv, env, folder, CLOCK, workdir=agent.workdir)
        container.start()
        stack.callback(container.stop, DEADLINE_S)
        wait_for(simulator, f"http://{HOST}:{model}/healthz")
        wait_for(container, f"http://{HOST}:{port}{agent.ready}")
        yield f"http://{HOST}:{port}"


def findings(settings: Path, folder: Path) -> Mapping[str, str]:
    with serving(settings, folder) as address:
        _, found = conform(address, folder)
    return {id_: finding["verdict"] for id_, finding in found.items()}


@pytest.mark.parametrize("name", ["agentcore", "pydantic-ai"])
def test_the_mended_agent_does_all_of_the_contract_but_stream(name: str, tmp_path: Path) -> None:
    found = findings(example(name) / "agentrig.toml", tmp_path)
    assert len(found) == 13
    assert {id_ for id_, verdict in found.items() if verdict == "not_made"} == NOT_MADE
    assert set(found.values()) == {"pass", "not_made"}


def test_the_usual_agentcore_agent_fails_when_two_ask_at_once(tmp_path: Path) -> None:
    found = findings(example("agentcore") / "usual.toml", tmp_path)
    assert found["at-the-limit"] == found["busy-flip"] == "fail"


@pytest.mark.proof
def test_agentrig_finds_nothing_in_the_mended_fastapi_agent(tmp_path: Path) -> None:
    settings = example("fastapi-openai") / "agentrig.toml"
    # a slow machine has more in work at once, and nothing here is about a limit
    told = settings_here(settings).replace("concurrency_limit = 4\n", "concurrency_limit = 64\n")
    (tmp_path / "agentrig.toml").write_text(told)
    (tmp_path / "short.toml").write_text(short_run(rate_rps=12.0, turn_gap_s=0.5))
    code, out, err = finish(
        start("run", "short.toml", "--agent", "agentrig.toml", "--out", "out", cwd=tmp_path)
    )
    unless_the_machine_was_in_the_way(code, out)
    assert code == 0, f"{out}\n{err}"
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text("utf-8"))
    checks = verdict["experiments"][0]["checks"]
    assert [check["id"] for check in checks if check["verdict"] != "pass"] == []
