"""The gate on two versions that run: what it says of bad ones, and that it leaves nothing behind."""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from harness.clock import SystemClock
from harness.commands.progress import TerminalProgress
from harness.gate.blocks import Side
from harness.gate.decide import GateDecision, GateVerdict
from harness.gate.ending import read_ending
from harness.gate.scenario import GateScenario, steady
from harness.gate.session import GateSettings, gate
from harness.gate.source import Source
from harness.run.folder import RunFolder
from tests.e2e.command import alive, descendants, finish, start, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
TINY = Path(__file__).parent / "fixtures" / "tiny_agent.py"
FAST = GateScenario.model_validate(steady().model_dump() | {"load": {"rate_rps": 200.0}})


def version(folder: Path, env: Mapping[str, str] | None = None, *, says: str | None = None) -> Path:
    """Make a version whose agent is a tiny one, or one that only says something and ends."""
    lines = [f"os.environ[{name!r}] = {value!r}" for name, value in (env or {}).items()]
    end = f"sys.exit({says!r})" if says else f"runpy.run_path({str(TINY)!r}, run_name='__main__')"
    package = folder / "reference_agent"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("\n".join(["import os, runpy, sys", *lines, end]), "utf-8")
    return folder


def decided(
    tmp_path: Path, head: Path, *, requests: int = 340, seed: int = 1
) -> tuple[GateDecision, RunFolder]:
    """Let the gate look once, after one pair."""
    folders = {Side.BASE: version(tmp_path / "base"), Side.HEAD: head}
    sources = {
        side: Source(label=side, folder=folder, python=Path(sys.executable))
        for side, folder in folders.items()
    }
    settings = GateSettings(out=tmp_path / "out", requests=340, looks=(1,), cold=True)
    clock = SystemClock()
    with TerminalProgress(Console(quiet=True), clock.monotonic) as progress:
        _, decision, folder = gate(sources, [FAST], settings, progress, clock)
    return decision, folder


def test_a_head_that_fails_a_fifth_of_its_requests_fails(tmp_path: Path) -> None:
    head = version(tmp_path / "head", {"TINY_AGENT_FAILS_EVERY": "5"})
    decision, folder = decided(tmp_path, head)
    assert decision.verdict is GateVerdict.FAIL
    assert "steady: head failed" in decision.reasons[0]
    assert "of head's agents" in decision.reasons[0]
    summary = (folder.path / "summary.md").read_text("utf-8")
    assert summary.startswith("## ❌ agentrig gate: head fails more requests: head failed")
    assert "Not compared: attempts, model calls and tokens, for no model call came" in summary
    assert read_ending(folder.path).exit_code == 1
    assert "<failure" in (folder.path / "junit.xml").read_text("utf-8")
    assert not (folder.path / "work").exists()


def test_a_base_that_does_not_start_shows_its_last_words(tmp_path: Path) -> None:
    base = version(tmp_path / "base", says="no key to the model: set OPENAI_API_KEY")
    head = version(tmp_path / "head")
    code, out, err = finish(
        start("gate", "--base", base, "--head", head, "--same-env", "--out", "out", cwd=tmp_path)
    )
    assert code == 4, f"{out}\n{err}"
    assert "base" in err
    assert "no key to the model: set OPENAI_API_KEY" in err
    assert "Traceback" not in err
    assert read_ending(tmp_path / "out").side == "base"
    summary = (tmp_path / "out" / "summary.md").read_text("utf-8")
    assert summary.startswith("## 🚫 agentrig gate: no verdict: base (base) did not start")
    assert "no key to the model: set OPENAI_API_KEY" in summary


def test_what_a_setup_started_goes_with_a_gate_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    told = tmp_path / "pid"
    (tmp_path / "agentrig.toml").write_text(
        f"[agent]\ncommand = ['true']\nsetup = ['sh', '-c', 'sleep 600 & echo $! > {told}; wait']\n"
    )
    process = start("gate", "--base", tmp_path, "--head", tmp_path, "--out", "out", cwd=tmp_path)
    wait_until(process, "what it started", lambda: told.exists() and told.read_text().endswith("\n"))
    started = psutil.Process(int(told.read_text()))
    process.kill()
    process.communicate()
    assert not alive([started])


def test_ctrl_c_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    base, head = version(tmp_path / "base"), version(tmp_path / "head")
    process = start("gate", "--base", base, "--head", head, "--same-env", "--out", "out", cwd=tmp_path)
    logs = tmp_path / "out" / "logs"
    wait_until(process, "a block", lambda: any(logs.rglob("locust.log")))
    everyone = descendants(process)
    assert len(everyone) > 8
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130, f"{out}\n{err}"
    assert "it was interrupted" in (tmp_path / "out" / "summary.md").read_text("utf-8")
    assert "Traceback" not in err
    assert not alive(everyone)
