"""A stranger's package, installed from its folder: its check, fault and policy are used by name in a TOML."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.e2e.command import finish, start, unless_the_machine_was_in_the_way

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"
EXPERIMENT = """
#:schema ./experiment.schema.json
name = "brownout"
title = "Brown-outs"
claim = "a gateway that browns out costs nobody an answer"
min_requests = 10
[fleet]
agents = 2
policy = "acme-sticky"
concurrency_limit = 64
env = { AGENT_RETRY_BASE_S = "0.05" }
[simulator]
latency = { ttft = { median_s = 0.01 }, tokens = 4 }
[[simulator.faults]]
kind = "acme_brownout"
probability = 0.35
match = { attempt = 1 }
[load]
rate_rps = 8.0
turns = 2
turn_gap_s = 1.0
duration_s = 5.0
[arms.retries]
title = "tries again"
[arms.no-retry]
title = "does not"
control = true
env = { AGENT_CONTROLS = "no-retry" }
[[checks]]
id = "acme-failed-share"
holds_in = ["retries"]
caught_in = ["no-retry"]
[[checks]]
id = "bad-luck"
holds_in = ["retries"]
[[checks]]
id = "errors-explained"
holds_in = ["retries"]
"""
BAD_LUCK = """
from dataclasses import replace
from acme_rig.check import CHECK as FAILED
def examine(case):
    raise LookupError("no luck today")
CHECK = replace(FAILED, id="bad-luck", examine=examine)
from acme_rig.policy import POLICY as STICKY
def uneven(setting):
    made = STICKY.picks(setting)
    made["typed_config"]["table_size"] = 100
    return made
POLICY = replace(STICKY, name="unprimed", picks=uneven)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package of docs/extending.md from its folder, and lay one beside it that is of no use."""
    folder, source = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("source")
    for file in (ROOT / "docs" / "extending").rglob("*"):
        if file.suffix in {".py", ".toml"}:
            copy = source / file.relative_to(ROOT / "docs" / "extending")
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(file.read_bytes())
    install = [UV, "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--python", sys.executable, "--target", folder, source], check=True)
    (folder / "bad_luck.py").write_text(BAD_LUCK)
    laid = folder / "bad_luck-0.1.dist-info"
    laid.mkdir()
    (laid / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-luck\nVersion: 0.1\n")
    (laid / "entry_points.txt").write_text(
        "[agentrig.checks]\nbad-luck = bad_luck:CHECK\nlost = bad_luck:NOWHERE\n"
        "[agentrig.policies]\nunprimed = bad_luck:POLICY\n"
    )
    return folder


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))


@pytest.mark.usefixtures("installed")
def test_its_check_fault_and_policy_are_used_by_name_and_a_check_that_fails_is_unknown(
    tmp_path: Path,
) -> None:
    file = tmp_path / "brownout.toml"
    file.write_text(EXPERIMENT)
    code, out, err = finish(start("run", file, "--rate-scale", "1", "--out", tmp_path / "out", cwd=tmp_path))
    assert "Traceback" not in out + err
    verdict = json.loads((tmp_path / "out" / "verdict.json").read_text())
    checks = {(each["id"], each["arm"]): each for each in verdict["experiments"][0]["checks"]}
    unlucky = checks["bad-luck", "retries"]
    assert unlucky["verdict"] == "unknown"
    assert "bad-luck 0.1: its entry point bad-luck of agentrig.checks (bad_luck:CHECK)" in unlucky["message"]
    assert "LookupError: no luck today" in unlucky["message"]
    journal = [json.loads(line) for line in (tmp_path / "out" / "journal.jsonl").read_text().splitlines()]
    served = [row for row in journal if row["decision"] == "acme_brownout"]
    assert {row["attempt"] for row in served} == {1}
    assert {row["status"] for row in served} == {503}
    arms = [json.loads(line) for line in (tmp_path / "out" / "arms.jsonl").read_text().splitlines()]
    assert [(arm["policy"], arm["policy_like"]) for arm in arms] == [("acme-sticky", "busy-503")] * 2
    went: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in (tmp_path / "out" / "requests.jsonl").read_text().splitlines():
        row = json.loads(line)
        went[row["arm"], row["session_id"]].add(row["upstream"])
    assert {len(each) for each in went.values()} == {1}  # a session stays where it began
    for arm in ("retries", "no-retry"):  # and not all are in one container
        assert len(set().union(*(each for (of, _), each in went.items() if of == arm))) == 2
    del checks["bad-luck", "retries"]
    if any(each["verdict"] == "unknown" for each in checks.values()):
        unless_the_machine_was_in_the_way(code, out)
    assert {key: each["verdict"] for key, each in checks.items()} == dict.fromkeys(checks, "pass"), out
    assert (code, verdict["verdict"]) == (2, "unknown")


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("named", "broken", "told"),
    [
        (
            "bad-luck",
            "lost",
            "bad-luck 0.1: its entry point lost of agentrig.checks (bad_luck:NOWHERE) can't be loaded",
        ),
        (
            "acme-sticky",
            "unprimed",
            "returned what Envoy refuses from picks(): The table size of maglev must be prime",
        ),
        (
            "acme-sticky",
            "acme-stikky",
            "fleet.policy: there is no 'acme-stikky'; did you mean 'acme-sticky'?",
        ),
    ],
)
def test_what_is_broken_is_named_before_anything_starts(
    tmp_path: Path, named: str, broken: str, told: str
) -> None:
    file = tmp_path / "lost.toml"
    file.write_text(EXPERIMENT.replace(named, broken))
    code, out, err = finish(start("run", file, "--out", tmp_path / "out", cwd=tmp_path))
    assert code == 3
    said = " ".join((out + err).split())
    assert told in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("installed")
def test_a_plan_does_not_simulate_a_policy_of_a_package(tmp_path: Path) -> None:
    code, out, err = finish(
        start("plan", "none.toml", "--p99", "4s", "--policy", "acme-sticky", cwd=tmp_path)
    )
    assert code == 3
    said = " ".join((out + err).split())
    assert "`agentrig run` measures a fleet under it, but `plan` has no simulation of it." in said
