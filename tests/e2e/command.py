"""The `agentrig` command as a process of its own, and what it leaves behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.commands.main import call
from harness.errors import ExitCode
from tests.e2e.waiting import DEADLINE_S

SMALL = """
name = "small"
title = "Small"
claim = "clients are built once per container"
seed = 5
min_requests = 10
[fleet]
agents = {agents}
concurrency_limit = 64
policy = "blind"
[simulator]
tool_turns = 1
latency = {{ ttft = {{ median_s = 0.01 }}, tokens = 4 }}
[load]
burst = 16
quiet_s = 0.5
rate_rps = 10.0
duration_s = {duration_s}
[arms.cached]
title = "cached"
[arms.per-request]
title = "per request"
control = true
env = {{ AGENT_CONTROLS = "per-request-clients" }}
[[checks]]
id = "init-once"
holds_in = ["cached"]
caught_in = ["per-request"]
[[checks]]
id = "no-errors"
holds_in = ["cached"]
[[checks]]
id = "spans-complete"
holds_in = ["cached"]
"""


PARTS = {
    "agent-1": "reference_agent",
    "capture": "harness.capture",
    "envoy": "--config-path",
    "mcp-server": "harness.simulator.mcp_server",
    "simulator": "harness.simulator",
}
"""The parts of a fleet of one agent, by a word that each alone is started with."""


def small_experiment(folder: Path, duration_s: float = 4.0, agents: int = 2) -> Path:
    file = folder / "small.toml"
    file.write_text(SMALL.format(duration_s=duration_s, agents=agents))
    return file


def start(*args: str | Path, cwd: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"COLUMNS": "120", "NO_COLOR": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], deadline_s: float = 4 * DEADLINE_S) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, out, err


FORKING = """
import importlib, json, os, sys
from harness.commands.main import COMMANDS, main

typed = json.loads(sys.argv[1])
for name, module, _, _ in COMMANDS:
    if name in {words[0] for words in typed}:
        importlib.import_module(module)
ended = []
for words in typed:
    if (child := os.fork()) == 0:
        sys.argv = ["agentrig", *words]
        sys.exit(main())
    ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(ended))
"""


def one_by_one(typed: Sequence[Sequence[str]], cwd: Path) -> tuple[list[int], str]:
    """Run commands one after the other, each in a process of its own; what they load is loaded once for all.

    Returns:
        their exit codes, and all that they wrote to the two streams.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", FORKING, json.dumps(typed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env=os.environ | {"COLUMNS": "120", "NO_COLOR": "1"},
        start_new_session=True,
    )
    code, said, _ = finish(process)
    assert code == 0, said
    said, _, ended = said.rstrip().rpartition("\n")
    return json.loads(ended), said


class Here:
    """The command within this process, for what it says before it starts anything: loading it takes a second.

    Args:
        folder: in which it is.
        monkeypatch: puts it there.
        capsys: gets what it says.
    """

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setenv("NO_COLOR", "1")
        self._capsys = capsys

    def says(self, *args: str | Path) -> tuple[int, str, str]:
        """Return its exit code, and what it wrote to the two streams."""
        self._capsys.readouterr()
        code = call([*map(str, args)])
        return (code, *self._capsys.readouterr())


def conform(address: str, cwd: Path) -> tuple[int, dict[str, Any]]:
    """Run `agentrig conform`; give its exit code, and its findings by id."""
    code, out, err = finish(start("conform", address, "--json", cwd=cwd))
    assert "Traceback" not in err
    findings = [json.loads(line) for line in out.splitlines()]
    return code, {finding["id"]: finding for finding in findings}


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def unless_the_machine_was_in_the_way(code: int, out: str) -> None:
    """Skip the rest of a test whose run is unknown, and says that this machine is why."""
    said = " ".join(out.split())
    if code == ExitCode.UNKNOWN and (
        reason := re.search(r"(the load sent late|the machine was the bottleneck|others kept)[^!]*", said)
    ):
        pytest.skip(f"unknown: {reason[0].strip()[-200:]}")


def runs(process: psutil.Process, module: str) -> bool:
    """Return whether it runs a module, or has another word so; one that has ended has none."""
    with suppress(psutil.Error):
        return module in process.cmdline()
    return False


def wait_until(
    process: subprocess.Popen[str], what: str, look: Callable[[], bool], deadline_s: float = DEADLINE_S
) -> None:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if look():
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    process.kill()
    out, err = process.communicate()
    raise AssertionError(f"never saw {what}; exit {process.returncode}\n{out}\n{err}")


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those of `processes` that still run after a grace for the kernel to end them, which is far below what
    any of them would run for by itself."""
    _, still = psutil.wait_procs(processes, timeout=20.0)
    return [process for process in still if process.status() != psutil.STATUS_ZOMBIE]
