"""An arm that the machine got in the way of runs once more, and nothing of its first run is kept."""

from pathlib import Path

import pytest
from rich.console import Console

from harness.clock import SystemClock
from harness.commands.progress import TerminalProgress
from harness.experiment.load import load
from harness.records.outcome import Outcome
from harness.records.seen import JournalRow
from harness.records.sent import RequestRow
from harness.run import again, pipeline
from harness.run import folder as run_folder
from harness.run.pipeline import RunSettings

WOKE_UP = "the load sent late: 90 ms at p99 (limit 20)"
EXPERIMENT = """
name = "small"
title = "Small"
claim = "each conversation is kept"
min_requests = 10
[fleet]
agents = 1
[simulator]
latency = { ttft = { median_s = 0.01 }, tokens = 1 }
[load]
rate_rps = 8.0
duration_s = 10.0
turns = 4
turn_gap_s = 0.5
canaries = true
[arms.only]
title = "the reference agent"
[arms.per-request]
title = "clients for each request"
control = true
env = { AGENT_CONTROLS = "per-request-clients" }
[[checks]]
id = "init-once"
holds_in = ["only"]
caught_in = ["per-request"]
[[checks]]
id = "turns-kept"
holds_in = ["only"]
"""

pytestmark = pytest.mark.e2e


def test_a_spoiled_arm_runs_twice_and_is_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = []

    def spoiled(*_: object) -> str:
        times.append(len(times))
        return WOKE_UP  # each time: of a quick run only one arm is run again, and only once

    monkeypatch.setattr(again, "spoiled", spoiled)
    (tmp_path / "small.toml").write_text(EXPERIMENT)
    clock = SystemClock()
    settings = RunSettings(out=tmp_path / "run", quick=True, rate_scale=1.0)
    with TerminalProgress(Console(), clock.monotonic) as progress:
        spec = load(str(tmp_path / "small.toml"), pipeline.known())
        result, folder = pipeline.run([spec], settings, progress, clock)

    assert len(times) == 3
    (experiment,) = result.experiments
    assert experiment.verdict is Outcome.PASS
    assert experiment.arms["only"].join_warnings == (
        f"it ran twice: the first time, which is not counted, {WOKE_UP}",
    )
    assert experiment.arms["per-request"].join_warnings == ()
    rows = [row for row in folder.rows(run_folder.REQUESTS, RequestRow) if row.arm == "only"]
    assert len({row.index for row in rows}) == len(rows) == experiment.arms["only"].requests
    calls = [call for call in folder.rows(run_folder.JOURNAL, JournalRow) if call.arm == "only"]
    assert {call.trace_id for call in calls} == {row.trace_id for row in rows}
    saved, _ = pipeline.judge_saved(folder.path)
    assert saved.experiments[0].checks == experiment.checks
