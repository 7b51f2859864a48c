"""A user's own agent, started or running already: asked as its file says, and judged by what it shows."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.errors import ExitCode
from tests.e2e.agents import settings_here
from tests.e2e.command import finish, start
from tests.e2e.serving import free_port, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
TINY = Path(__file__).parent / "fixtures" / "tiny_agent.py"
FASTAPI = Path(__file__).parents[2] / "docs" / "examples" / "fastapi-openai"
EXPERIMENT = """
name = "mine"
title = "Mine"
claim = "it answers"
min_requests = 5
[fleet]
policy = "blind"
concurrency_limit = 8
[simulator]
latency = { ttft = { median_s = 0.01 }, tokens = 2 }
[load]
rate_rps = 8.0
duration_s = 15.0        # 30 tested cases for each check, on a machine that is shared as well
canaries = true
[arms.yours]
title = "mine"
agent = "yours"
[arms.per-request]
title = "control"
control = true
env = { AGENT_CONTROLS = "per-request-clients" }
[[checks]]
id = "no-errors"
holds_in = ["yours"]
[[checks]]
id = "connections-bounded"
holds_in = ["yours"]
[[checks]]
id = "no-leak"
holds_in = ["yours"]
[[checks]]
id = "init-once"
caught_in = ["per-request"]
"""


@pytest.fixture
def containers() -> Iterator[list[int]]:
    """Two containers that somebody else started; `/v2` is as good a path to them as any."""
    ports = [free_port(), free_port()]
    with ExitStack() as stack:
        for port in ports:
            env = os.environ | {"PORT": str(port), "AGENT_CONCURRENCY_LIMIT": "8"}
            process = stack.enter_context(subprocess.Popen([sys.executable, str(TINY)], env=env))
            stack.callback(process.kill)
            wait_for(process, f"http://127.0.0.1:{port}/ping")
        yield ports


@pytest.mark.proof
def test_containers_that_run_already_are_judged(tmp_path: Path, containers: list[int]) -> None:
    urls = ", ".join(f'"http://127.0.0.1:{port}"' for port in containers)
    (tmp_path / "agentrig.toml").write_text(
        f'[agent]\nname = "mine"\nurls = [{urls}]\nconcurrency_limit = 8\n'
        '[request]\npath = "/v2"\nanswer_field = "port"\n'
    )
    (tmp_path / "mine.toml").write_text(EXPERIMENT)
    code, out, err = finish(start("doctor", cwd=tmp_path))
    assert f"container 127.0.0.1:{containers[0]}: answers 200" in out
    args = ("run", "mine.toml", "--agent", "agentrig.toml", "--out", "out")
    code, out, err = finish(start(*args, cwd=tmp_path))
    assert code == 2, f"{out}\n{err}"
    assert "nothing could be looked at but whether requests are answered" in " ".join(out.split())
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text("utf-8"))
    checks = {check["id"]: check for check in verdict["experiments"][0]["checks"]}
    assert checks["no-errors"]["verdict"] == "pass"
    assert checks["connections-bounded"]["verdict"] == checks["no-leak"]["verdict"] == "not_made"
    assert "{simulator}" in checks["connections-bounded"]["message"]
    assert "1 of 1 checks held, 1 of 1 in controls, 2 not made" in out
    assert verdict["experiments"][0]["arms"]["yours"]["requests"] >= 5


@pytest.mark.proof
def test_an_agent_without_a_limit_is_found_without_a_span_of_it(tmp_path: Path) -> None:
    (tmp_path / "agentrig.toml").write_text(settings_here(FASTAPI / "usual.toml"))
    args = ("run", "own-busy", "--quick", "--agent", "agentrig.toml", "--out", "out")
    code, out, err = finish(start(*args, cwd=tmp_path))
    assert code == 1, f"{out}\n{err}"
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text("utf-8"))
    checks = {(check["id"], check["arm"]): check for check in verdict["experiments"][0]["checks"]}
    for check in ("calls-within-limit", "ping-busy-when-full"):
        assert checks[check, "yours"]["verdict"] == "fail", checks[check, "yours"]
        assert checks[check, "limit-ignored"]["verdict"] == "pass", checks[check, "limit-ignored"]


def test_an_arm_of_ones_own_needs_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(EXPERIMENT)
    code, _, err = finish(start("run", "mine.toml", cwd=tmp_path))
    assert code == 3
    assert "`agentrig init` writes one" in err


REMEMBERED = """
name = "remembered"
title = "Remembered"
claim = "a conversation is known to both containers, whatever the agent remembers of earlier runs"
min_requests = 10
[fleet]
agents = 2
concurrency_limit = 64
policy = "blind"
[simulator]
latency = { ttft = { median_s = 0.01 }, tokens = 1 }
[load]
rate_rps = 4.0 # so few that a third of a slow machine answers each turn before the next one is due
duration_s = 15.0
turns = 3
turn_gap_s = 2.0
canaries = true
[arms.yours]
title = "yours"
agent = "yours"
[arms.shared-agent]
title = "control"
control = true
env = { AGENT_CONTROLS = "shared-agent" }
[[checks]]
id = "turns-kept"
holds_in = ["yours"]
[[checks]]
id = "no-leak"
holds_in = ["yours"]
caught_in = ["shared-agent"]
"""


FEW_TURNS = ("too few cases", "no conversation went on after an answer")


def remembering(folder: Path, store: str) -> None:
    """Write the files of an agent that keeps its sessions in a store of its own."""
    told = settings_here(FASTAPI / "agentrig.toml")
    kept = told.replace("concurrency_limit = 4\n", "concurrency_limit = 64\n").replace("{sessions}", store)
    assert kept.count(store) == 1
    (folder / "agentrig.toml").write_text(kept)
    (folder / "remembered.toml").write_text(REMEMBERED)


def test_what_a_container_keeps_beside_its_code_no_other_knows(tmp_path: Path) -> None:
    remembering(tmp_path, "./kept.sqlite")
    args = ("run", "remembered.toml", "--agent", "agentrig.toml", "--rate-scale", "1", "--out", "out")
    code, said, err = finish(start(*args, cwd=tmp_path))
    if code == ExitCode.UNKNOWN and any(few in said for few in FEW_TURNS):
        pytest.skip("unknown: a turn took so long on this machine that few came after another")
    assert code == ExitCode.FELL_SHORT, f"{said}\n{err}"
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text("utf-8"))
    checks = {(check["id"], check["arm"]): check for check in verdict["experiments"][0]["checks"]}
    assert checks["turns-kept", "yours"]["verdict"] == "fail"
    assert " 0 lost" not in checks["turns-kept", "yours"]["message"]
    assert not (FASTAPI / "kept.sqlite").exists()
    assert not (tmp_path / "out" / "work").exists(), "the copies are gone with the run"


@pytest.mark.proof
def test_an_agent_that_remembers_earlier_runs_is_as_green_in_the_next(tmp_path: Path) -> None:
    remembering(tmp_path, str(tmp_path / "kept.sqlite"))
    words = {}

    def run(out: str, *more: str) -> int:
        args = (
            "run",
            "remembered.toml",
            "--agent",
            "agentrig.toml",
            "--rate-scale",
            "1",
            "--out",
            out,
            *more,
        )
        code, said, err = finish(start(*args, cwd=tmp_path))
        assert code in {0, 1}, f"{out}: {said}\n{err}"
        rows = (tmp_path / out / "requests.jsonl").read_text("utf-8").splitlines()
        words[out] = {json.loads(row)["canary"] for row in rows}
        assert len(words[out]) * 2 == len(rows), "both arms are sent the same"
        return code

    assert run("first") == run("second") == 0
    assert not words["first"] & words["second"]
    salt = json.loads((tmp_path / "first" / "plan.json").read_text("utf-8"))["salt"]
    assert run("first-again", "--salt", salt) == 1, "the agent remembers each turn, and so has it twice"
    assert words["first-again"] == words["first"]
