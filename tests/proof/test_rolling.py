"""A rolling update and twenty kills under load, of processes and of pods: nothing lost, nothing doubled.

Where no cluster answers that of pods is skipped, and says so; `make cluster` puts one up.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.clock import SystemClock
from harness.errors import AgentrigError
from harness.fleet.kubernetes.kubeconfig import connect

pytestmark = [pytest.mark.proof, pytest.mark.alone]

COMMAND = (str(Path(sys.executable).with_name("agentrig")),)
FILE = Path(__file__).with_name("rolling.toml")
KILLS, REPLACED = 20, 4
UNKNOWN = 2


def cluster_or_skip() -> None:
    try:
        connect("", SystemClock()).call("GET", "/version", tries=1)
    except AgentrigError as error:
        pytest.skip(f"{error} (one for the tests: make cluster)")


@pytest.mark.parametrize("on", ["local", "kubernetes"])
def test_a_rolling_update_and_twenty_kills_lose_no_request_and_no_turn(on: str, tmp_path: Path) -> None:
    if on == "kubernetes":
        cluster_or_skip()
    out = tmp_path / "run"
    argv = [*COMMAND, "run", str(FILE), "--on", on, "--out", str(out)]
    ran = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    verdict = json.loads((out / "verdict.json").read_text("utf-8"))
    (found,) = verdict["experiments"]
    fell_short = [
        f"{c['id']} in {c['arm']}: {c['message']}" for c in found["checks"] if c["verdict"] == "fail"
    ]
    assert not fell_short, "\n".join(fell_short)
    open_checks = [
        f"{c['id']} in {c['arm']}: {c['message']}" for c in found["checks"] if c["verdict"] != "pass"
    ]
    if ran.returncode == UNKNOWN:
        pytest.skip(f"unknown: {open_checks}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    arms = [json.loads(line) for line in (out / "arms.jsonl").read_text("utf-8").splitlines()]
    events = {arm["arm"]: [event["action"] for event in arm["events"]] for arm in arms}
    if (kills := events["killed"].count("kill")) < KILLS:  # each waits until there is another one
        pytest.skip(
            f"unknown: new ones came so slowly that {kills} of {KILLS} were killed while the load lasted"
        )
    assert events["drained"].count("replace") == 2 * REPLACED
    assert set(events["drained"]) == {"replace"}, "nobody was ended that had not left in its time"
