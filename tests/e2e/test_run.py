"""A whole run, from the command to its folder: what it writes, and what it leaves however it ends."""

import json
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

from harness.capture.decode import spans
from harness.errors import ExitCode
from tests.e2e.command import (
    PARTS,
    Here,
    alive,
    descendants,
    finish,
    runs,
    small_experiment,
    start,
    wait_until,
)
from tests.e2e.telemetry_compared import never_sent, not_on_the_page, of_run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

FILES = {
    "arms.jsonl",
    "journal.jsonl",
    "junit.xml",
    "logs",
    "metrics.jsonl",
    "plan.json",
    "report.html",
    "requests.jsonl",
    "spans.jsonl",
    "summary.md",
    "traces.json",
    "verdict.json",
}


class Finished(NamedTuple):
    """A run that is over.

    Attributes:
        asked: what its environment's proxy was asked for meanwhile.
    """

    code: int
    out: str
    err: str
    folder: Path
    asked: list[bytes]


@contextmanager
def behind_a_proxy() -> Iterator[list[bytes]]:
    """Have the environment name a proxy for all, which takes whatever it is sent; give what that was."""
    asked: list[bytes] = []

    class Proxy(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline())
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with (
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Proxy) as server,
        pytest.MonkeyPatch.context() as environment,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            environment.setenv(name, f"http://127.0.0.1:{server.server_address[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            environment.delenv(name, raising=False)
        yield asked
        server.shutdown()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One that measures the machine before, and in whose environment a proxy is named that is not for it."""
    folder = tmp_path_factory.mktemp("run")
    with behind_a_proxy() as asked:
        ended = finish(start("run", small_experiment(folder), "--out", folder / "out", cwd=folder))
    return Finished(*ended, folder / "out", asked)


def test_no_control_call_goes_to_the_proxy_of_the_environment(finished: Finished, tmp_path: Path) -> None:
    with behind_a_proxy() as asked:
        conformed, _, _ = finish(start("conform", "http://127.0.0.1:1", cwd=tmp_path))
    assert conformed == ExitCode.NOT_STARTED
    assert finished.code in {ExitCode.HELD, ExitCode.UNKNOWN}, f"{finished.out}\n{finished.err}"
    assert finished.asked == asked == []


def test_the_page_of_telemetry_has_every_name_that_a_run_sent(finished: Finished) -> None:
    seen = of_run(spans((finished.folder / "spans.jsonl").read_text("utf-8").splitlines()))
    assert not not_on_the_page(seen)
    assert not never_sent(seen, {"locust"})


def test_a_run_holds_and_writes_every_file(finished: Finished) -> None:
    code, out, err, folder, _ = finished
    assert code == 0, f"{out}\n{err}"
    assert {entry.name for entry in folder.iterdir()} == FILES
    assert all((folder / name).stat().st_size > 0 for name in FILES)


def test_the_verdict_says_what_each_arm_showed(finished: Finished) -> None:
    folder = finished.folder
    experiment = json.loads((folder / "verdict.json").read_text())["experiments"][0]
    checks = {(check["id"], check["arm"]): check for check in experiment["checks"]}
    assert checks["init-once", "cached"]["observed"] == 1
    assert checks["init-once", "per-request"]["observed"] > 1
    assert checks["init-once", "per-request"]["verdict"] == "pass"
    assert experiment["arms"]["cached"]["requests"] == len(rows(folder, "requests.jsonl")) / 2
    assert (
        experiment["arms"]["per-request"]["client_inits"]["llm"] == experiment["arms"]["cached"]["requests"]
    )
    suites = ET.parse(folder / "junit.xml").getroot()  # noqa: S314 - we wrote the file
    assert len(suites.findall(".//testcase")) == len(experiment["checks"])


def test_every_request_has_its_trace_from_client_to_simulator(finished: Finished) -> None:
    folder = finished.folder
    services: dict[str, set[str]] = {}
    for line in (folder / "spans.jsonl").read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            attributes = {a["key"]: a["value"] for a in resource["resource"]["attributes"]}
            name = attributes["service.name"]["stringValue"]
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    services.setdefault(span["traceId"], set()).add(name)
    wanted = {"locust", "envoy", "agent", "model-api", "mcp-server"}
    for row in rows(folder, "requests.jsonl"):
        assert wanted <= services[row["trace_id"]]


def test_a_saved_run_is_judged_again_to_the_same_verdict(finished: Finished) -> None:
    folder = finished.folder
    before = json.loads((folder / "verdict.json").read_text())
    code, out, err = finish(start("judge", folder, cwd=folder))
    assert code == 0, f"{out}\n{err}"
    after = json.loads((folder / "verdict.json").read_text())
    assert after["experiments"] == before["experiments"]


def test_a_folder_with_a_run_is_not_written_over(finished: Finished, here: Here) -> None:
    code, _, err = here.says("run", "cold-start", "--out", finished.folder)
    assert code == 3
    assert "holds a run already" in err


def test_a_killed_agent_ends_the_run_by_name_with_its_last_lines(tmp_path: Path, here: Here) -> None:
    process = start_long(tmp_path, "--rate-scale", "1")
    wait_until(process, "the load", lambda: loading(tmp_path / "out"))
    everyone = descendants(process)
    next(p for p in everyone if runs(p, "reference_agent")).send_signal(signal.SIGKILL)
    code, out, err = finish(process)
    assert code == 4, f"{out}\n{err}"
    assert "agent-" in err
    assert "was killed by signal 9" in err
    assert "The whole log: " in err
    assert not alive(everyone)
    of_the_running_arm_is_kept(tmp_path / "out", here)


@pytest.mark.parametrize("moment", ["at once", "while it calibrates", "while the fleet starts", "under load"])
def test_ctrl_c_at_any_moment_leaves_nothing_behind(tmp_path: Path, here: Here, moment: str) -> None:
    more = () if moment == "while it calibrates" else ("--rate-scale", "1")
    process = start_long(tmp_path, *more)
    looks = {
        "while it calibrates": lambda: loading(tmp_path / "out"),  # the first load is the calibration's
        "at once": (tmp_path / "out" / "plan.json").exists,
        "while the fleet starts": lambda: any(runs(p, "reference_agent") for p in descendants(process)),
        "under load": lambda: loading(tmp_path / "out"),
    }
    wait_until(process, moment, looks[moment])
    everyone = descendants(process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130, f"{out}\n{err}"
    assert "Traceback" not in err
    assert not alive(everyone)
    assert not (tmp_path / "out" / "work").exists()
    if moment == "under load":
        of_the_running_arm_is_kept(tmp_path / "out", here)


def test_an_interruption_within_exec_leaves_the_exit_code_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text("""
import os, signal, sys
from harness.commands.main import interruptible
try:
    with interruptible():
        exec("os.kill(os.getpid(), signal.SIGINT)")  # as where a dataclass is made in a late import
except KeyboardInterrupt:
    sys.exit(130)
""")
    assert subprocess.run([sys.executable, "-m", "interrupted"], cwd=tmp_path, check=False).returncode == 130


def test_a_killed_harness_takes_its_fleet_with_it(tmp_path: Path) -> None:
    process = start_long(tmp_path, "--rate-scale", "1")
    wait_until(process, "the load", lambda: loading(tmp_path / "out"))
    everyone = descendants(process)
    assert len(everyone) > len(PARTS), "the parts of a fleet, and the load"
    process.kill()
    process.communicate()
    assert not alive(everyone)
    assert not (tmp_path / "out" / "work").exists()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["run", "nowhere.toml"], 3, "nowhere.toml: cannot be read"),
        (["run", "bad.toml"], 3, "bad.toml: load.rate_rsp: there is no such key; did you mean 'rate_rps'?"),
        (["run", "--out", "/proc/agentrig"], 4, "/proc/agentrig: cannot be written to"),
        (["run", "--jaeger", "nonsense"], 3, "is not an http address"),
        (["run", "--sed", "3"], 3, "--sed"),
        (["judge", "."], 3, "is not a run folder"),
        (["fly"], 3, "fly"),
    ],
)
def test_wrong_words_get_one_clear_message(
    tmp_path: Path, here: Here, args: list[str], code: int, said: str
) -> None:
    bad = small_experiment(tmp_path).read_text().replace("rate_rps", "rate_rsp")
    (tmp_path / "bad.toml").write_text(bad)
    got, out, err = here.says(*args)
    assert got == code, f"{out}\n{err}"
    assert said in err
    assert "Traceback" not in out + err


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["run", "throtling"], 3, "did you mean 'throttling'"),
        (["conform", "http://127.0.0.1:1"], 4, "nobody answers"),
    ],
)
def test_a_process_ends_with_the_code_and_the_message(
    tmp_path: Path, args: list[str], code: int, said: str
) -> None:
    got, out, err = finish(start(*args, cwd=tmp_path))
    assert got == code, f"{out}\n{err}"
    assert said in err
    assert "Traceback" not in out + err


def of_the_running_arm_is_kept(out: Path, here: Here) -> None:
    """See that what was measured of an arm is there, and is judged to be too little."""
    (facts,) = rows(out, "arms.jsonl")
    assert 0 < len(rows(out, "requests.jsonl")) < int(str(facts["planned"]))
    assert rows(out, "journal.jsonl")
    assert list(spans((out / "spans.jsonl").read_text("utf-8").splitlines()))
    code, said, err = here.says("judge", out)
    assert code == 2, f"{said}\n{err}"


def start_long(folder: Path, *more: str) -> subprocess.Popen[str]:
    """Start a run that goes on until somebody ends it."""
    file = small_experiment(folder, 900.0, agents=1)
    return start("run", file, "--out", folder / "out", *more, cwd=folder)


def loading(folder: Path) -> bool:
    return any((folder / "work").glob("*/*/rows.jsonl")) and any(
        file.stat().st_size for file in (folder / "work").glob("*/*/rows.jsonl")
    )


def rows(folder: Path, name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_doctor_measures_the_machine_when_it_is_asked_to(tmp_path: Path) -> None:
    code, out, err = finish(start("doctor", "--speed", "--json", cwd=tmp_path))
    assert code == 0, f"{out}\n{err}"
    (speed,) = [found for line in out.splitlines() if (found := json.loads(line))["what"] == "speed"]
    assert "ms of CPU a request costs here: the agent " in speed["detail"]
    assert list(tmp_path.iterdir()) == []
