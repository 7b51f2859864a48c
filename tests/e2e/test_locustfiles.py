import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from harness.load.kit.tally import Tally
from harness.records.sent import RequestRow
from harness.records.up_state import UpState, write
from harness.run.folder import read_rows
from tests.e2e.asking import HTTP
from tests.e2e.locusting import (
    BUSY,
    CLOSED_LOOP,
    WITHIN_S,
    Page,
    ended,
    headless,
    scenarios_in,
    start,
    until,
    until_calls_ended,
)
from tests.e2e.serving import chat_server, contract_server, free_port, retrying_agent, wait_for
from tests.e2e.simulating import running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with contract_server() as url:
        yield url


@pytest.fixture(autouse=True)
def nothing_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("AGENTRIG_SIMULATOR_URL", raising=False)


def test_users_that_come_slowly_take_nothing_from_the_run_time(host: str) -> None:
    ran = headless("Steady", "-t", "2s", "-u", 4, "--spawn-rate", 1, "-H", host)
    assert ran.returncode == 0, ran.stderr
    assert "; due 20, sent 20, " in ran.stderr


BROKEN = """
from harness.load.scenario import Constant, OpenUser

class Broken(OpenUser):
    arrivals = Constant(rate_rps=10.0)

    def __init__(self, environment):
        raise RuntimeError("no user of this kind")
"""


def test_users_that_cannot_be_made_end_the_test_and_are_never_green(host: str, tmp_path: Path) -> None:
    files = tmp_path / "broken.py"
    files.write_text(BROKEN)
    ran = ended(start("--headless", "-t", "600s", "-H", host, files=files))
    assert ran.returncode == 2, ran.stderr
    assert "no user of this kind" in ran.stderr


def test_calls_that_timed_out_count_into_the_p99() -> None:
    with contract_server(3.0, 60.0) as stalls:
        ran = headless(
            *(*BUSY, "-H", stalls, "--call-timeout-s", 0.5, "--p99-ms", 300, "--max-error-ratio", 0.99)
        )
    assert ran.returncode == 1, ran.stderr
    assert "fell short: p99" in ran.stderr


@pytest.mark.parametrize(
    "wrong",
    [("--p99-ms", "nan"), ("--tags", "x"), ("--host", "agent")],
)
def test_an_option_with_which_nothing_could_be_sent_exits_3(wrong: tuple[object, ...], host: str) -> None:
    ran = headless("Steady", "-t", "600s", "-H", host, *wrong)
    assert ran.returncode == 3, ran.stderr
    assert len(ran.stderr) < 2000, "not told in a line, but in tracebacks"
    assert str(wrong[0 if wrong[0] != "--host" else 1]) in ran.stderr


def test_a_test_that_sent_nothing_is_never_green(host: str) -> None:
    ran = headless("BusyRouting", "-t", "1s", "-H", host, "--rate-factor", 1e-6)
    assert ran.returncode == 2, ran.stderr
    assert "0 calls ended" in ran.stderr


OF_LOCUST = """
from locust import HttpUser, constant, task
from harness.load.scenario import Constant, OpenUser

class Open(OpenUser):
    arrivals = Constant(rate_rps=10.0)

class Plain(HttpUser):
    wait_time = constant(0.1)

    @task
    def ask(self):
        self.client.%s
"""
PING, MISSING = "get('/ping')", "get('/nowhere')"


@pytest.mark.parametrize(
    ("call", "picked", "code"),
    [(MISSING, ("Open", "Plain"), 1), (MISSING, ("Plain",), 1), (PING, ("Plain",), 0)],
)
def test_a_user_of_locusts_own_counts_as_it_does_there(
    call: str, picked: tuple[str, ...], code: int, host: str, tmp_path: Path
) -> None:
    files = tmp_path / "plain.py"
    files.write_text(OF_LOCUST % call)
    port = free_port()
    ways = ("--processes", 2, "--master-bind-port", port, "--master-port", port) if len(picked) > 1 else ()
    ran = ended(start("--headless", *ways, *picked, "-t", "2s", "-H", host, files=files))
    assert ran.returncode == code, ran.stderr
    assert "requests of other users" in ran.stderr


def test_a_load_that_is_late_itself_is_never_green(host: str, tmp_path: Path) -> None:
    files = tmp_path / "slow.py"
    files.write_text(SLOW_PLAN)
    ran = ended(start("--headless", "-t", "2s", "-H", host, "--max-late-ratio", 0.2, files=files))
    assert ran.returncode == 2, ran.stderr
    assert "of 20 calls were sent more than 5 ms late" in ran.stderr


SLOW_PLAN = """
import time
from harness.load.scenario import Constant, OpenUser

class Slow(Constant):
    def due(self, draw, factor):
        for phase, due_s in super().due(draw, factor):
            time.sleep(0.15)  # as a plan that takes longer than what it plans
            yield phase, due_s

class Late(OpenUser):
    arrivals = Slow(rate_rps=10.0)
"""


def test_without_a_service_it_is_told_how_to_name_one() -> None:
    ran = headless("Steady", "-t", "2s")
    assert ran.returncode == 3
    assert "give --host URL, or run `agentrig up`" in ran.stderr


def test_the_fleet_that_is_up_is_found_by_itself(host: str, tmp_path: Path) -> None:
    state = tmp_path / "state" / "agentrig" / "up.json"
    write(UpState(pid=os.getpid(), url=host, simulator_url=host), state, tmp_path)
    ran = headless("Steady", "-t", "2s")
    assert ran.returncode == 0, ran.stderr


CHAT = """
from harness.load.scenario import Constant, OpenUser

class Chat(OpenUser):
    arrivals = Constant(rate_rps=10.0)
    %s
"""
REQUEST = {
    "path": "/chat",
    "body": {"message": "{prompt}", "thread": "{session}"},
    "answer": "reply.text",
    "headers": {"Authorization": "Bearer ${CHAT_TOKEN}"},
}

CHAT_TABLE = """
[request]
path = "/chat"
body = {message = "{prompt}", thread = "{session}"}
answer = "reply.text"
headers = {Authorization = "Bearer ${CHAT_TOKEN}"}
"""


@pytest.mark.parametrize("in_code", [True, False])
def test_a_service_with_a_contract_of_its_own_is_asked_as_the_class_or_the_file_says(
    in_code: bool,  # noqa: FBT001 - a parameter of the test
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHAT_TOKEN", "a-token")
    files = tmp_path / "chat.py"
    files.write_text(CHAT % (f"request = {REQUEST!r}" if in_code else ""))
    (tmp_path / "agentrig.toml").write_text("" if in_code else CHAT_TABLE)
    with chat_server("a-token") as url:
        ran = ended(start("--headless", "-t", "2s", "-H", url, files=files, cwd=tmp_path))
    assert ran.returncode == 0, ran.stderr
    assert "; due 20, sent 20, " in ran.stderr


def test_a_fleet_that_was_started_again_is_found_and_one_that_is_gone_is_told(tmp_path: Path) -> None:
    state, port = tmp_path / "state" / "agentrig" / "up.json", free_port()
    with contract_server() as old, contract_server() as new:
        write(UpState(pid=os.getpid(), url=old, simulator_url=old), state, tmp_path)
        process = start("--web-port", port, "--results-dir", tmp_path)
        try:
            wait_for(process, f"http://127.0.0.1:{port}/")
            page = Page(f"http://127.0.0.1:{port}", process)
            assert "is gone" not in page.text("/agentrig/state")
            state.unlink()
            assert f"held at {old} is gone" in page.text("/agentrig/state"), (
                "whoever has the page open is told"
            )
            assert f"the fleet that `agentrig up` held at {old} is gone" in page.refused(host=old)
            write(UpState(pid=os.getpid(), url=new, simulator_url=new), state, tmp_path)
            page.swarm(host=old, run_time="1s")
            page.until_judged(1)
            assert new in page.text("/")
        finally:
            process.send_signal(signal.SIGTERM)
            ended(process)


def test_each_scenario_runs_against_any_host_that_speaks_the_contract(host: str, tmp_path: Path) -> None:
    names = ("BusyRouting", "ColdStart", "Conversations", "ScaleOut", "Steady")
    ran = headless(*names, "-t", "3s", "-H", host, "--results-dir", tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert scenarios_in(tmp_path) == set(names)


def test_a_storm_without_a_simulator_is_never_green(host: str) -> None:
    ran = headless("ThrottlingStorm", "-t", "3s", "-H", host)
    assert ran.returncode == 2, ran.stderr
    assert "nothing was throttled: name the model API simulator by --simulator-url" in ran.stderr


def test_attempts_per_call_are_those_of_this_test_and_of_all_its_calls() -> None:
    with running() as model, retrying_agent(url := model.url, 1) as agent:
        for number in range(30):  # of somebody who came before
            body = {"model": "m", "messages": [{"role": "user", "content": str(number)}]}
            HTTP.post(f"{url}/v1/chat/completions", json=body, timeout=WITHIN_S).raise_for_status()
        first_fails = {"faults": [{"kind": "server_error", "match": {"attempt": 1}}]}
        httpx.patch(f"{url}/sim/config", json=first_fails, timeout=WITHIN_S).raise_for_status()
        told = ("Steady", "-t", "3s", "-H", agent, "--simulator-url", url, "--max-amplification")
        fell_short, held = headless(*told, 1.9), headless(*told, 2)
    assert (fell_short.returncode, held.returncode) == (1, 0), fell_short.stderr + held.stderr
    for ran in (fell_short, held):
        assert "amplification 2.000 (60 attempts)" in ran.stderr


SQUALL = """
from harness.load.scenario import Constant, FaultRule, OpenUser, Throttling

class Squall(OpenUser):
    arrivals = Constant(rate_rps=10.0)
    throttling = Throttling(faults=(FaultRule(kind="overloaded", every_n=2), FaultRule(%s)))
"""


@pytest.mark.parametrize(
    ("rule", "code"), [("kind='conn_reset', every_n=50", 2), ("kind='server_error', every_n=5", 0)]
)
def test_faults_count_as_survived_only_if_each_came(rule: str, code: int, tmp_path: Path) -> None:
    files = tmp_path / "squall.py"
    files.write_text(SQUALL % rule)
    with running() as model, retrying_agent(model.url, 1) as agent:
        to = ("-H", agent, "--simulator-url", model.url)
        ran = ended(start("--headless", "-t", "2s", *to, files=files))
    assert ran.returncode == code, ran.stderr
    assert ("what never came was not survived" in ran.stderr) == (code == 2)


@pytest.mark.alone
def test_a_stall_shows_in_full_where_a_closed_loop_hides_it(tmp_path: Path) -> None:
    stall_at_s, stall_for_s, gap_s = 3.01, 1.0, 0.02  # it begins between two arrivals
    stall_ends_s = stall_at_s + stall_for_s
    with contract_server(stall_at_s, stall_for_s) as host:
        ran = headless("Steady", "-t", "6s", "-H", host, "--rate-factor", 5, "--results-dir", tmp_path)
    assert ran.returncode == 0, ran.stderr
    rows = sorted(read_rows(tmp_path / "requests-0.jsonl", RequestRow), key=lambda row: row.index)
    due_s, sent_s, end_s = (
        np.array([getattr(row, name) - rows[0].due_s for row in rows])
        for name in ("due_s", "sent_s", "end_s")
    )
    waits = (due_s >= stall_at_s) & (due_s < stall_ends_s)
    by_hand_s = np.where(waits, stall_ends_s - due_s, 0.0)
    # What the machine adds: it sends late, answers late, and the stall counts from the first call's arrival.
    over_s = end_s - np.where(waits, stall_ends_s, due_s)
    off_s = max((sent_s - due_s).max(), over_s[abs(due_s - stall_at_s) > stall_for_s / 10].max())
    if off_s > stall_for_s / 4:
        pytest.skip(
            f"unknown: this machine was itself {off_s * 1000:.0f} ms late; nothing else may run beside it"
        )
    seen = Tally()
    for row in rows:
        seen.add(row)
    for percent in (95, 99, 99.9):
        expected_ms = np.percentile(by_hand_s, percent, method="inverted_cdf") * 1000
        assert seen.quantile_ms(percent) == pytest.approx(expected_ms, abs=(off_s + gap_s) * 1000)
    with contract_server(stall_at_s, stall_for_s) as host:
        closed = ended(start("--headless", "--json", "-H", host, files=CLOSED_LOOP, cwd=tmp_path))
    assert closed.returncode == 0, closed.stderr
    times = json.loads(closed.stdout)[0]["response_times"]
    slow_ms = [float(ms) for ms, count in times.items() for _ in range(count) if float(ms) > 100]
    if any(ms < stall_for_s * 500 for ms in slow_ms):
        pytest.skip(f"unknown: this machine was itself late in the closed loop: {slow_ms} ms")
    assert len(slow_ms) == 1, "a closed loop meets the stall once, whatever its rate"


def test_ctrl_c_drains_judges_and_leaves_nothing(host: str, tmp_path: Path) -> None:
    process = start("--headless", "--only-summary", "Steady", "-H", host, "--results-dir", tmp_path)
    until_calls_ended(tmp_path, process)
    process.send_signal(signal.SIGINT)
    ran = ended(process)
    assert ran.returncode == 0, ran.stderr
    assert "held: error ratio 0.0000" in ran.stderr


@pytest.mark.parametrize("ending", [(), (signal.SIGTERM,)])
def test_the_throttling_is_there_while_the_test_lasts_and_gone_after(
    host: str, ending: tuple[signal.Signals, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        running(token="a-token") as model,
        httpx.Client(headers={"authorization": "Bearer a-token"}, timeout=WITHIN_S) as client,
    ):
        url = model.url
        before = client.get(f"{url}/sim/config").json()
        monkeypatch.setenv("AGENTRIG_SIMULATOR_TOKEN", "a-token")
        told = ("--simulator-url", url, "--results-dir", tmp_path)
        run_time = () if ending else ("-t", "3s")
        process = start("--headless", "ThrottlingStorm", "-H", host, *told, *run_time)
        if ending:
            until_calls_ended(tmp_path, process)
            during = client.get(f"{url}/sim/config").json()
            assert during["quota"]["rpm"] == 6000
            assert during["faults"][0]["kind"] == "overloaded"
        for number in ending:
            process.send_signal(number)
        ran = ended(process)
        assert ran.returncode == 2, ran.stderr
        assert "the model API throttles now" in ran.stderr
        assert "nothing was throttled: no model call came to the simulator" in ran.stderr
        assert client.get(f"{url}/sim/config").json() == before


def test_the_web_page_has_what_an_operator_misses_there(host: str, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = start("--web-port", port, "-H", host)
    try:
        wait_for(process, url)
        page = Page(url, process)
        assert "No test has been started yet." in page.text("/agentrig")
        assert '"agentrig-arrivals"' in page.text("/")
        for tests, length_s in ((1, 2), (2, 3)):  # the second test begins at zero again
            page.swarm(run_time=f"{length_s}s")
            page.until_judged(tests)
            assert (page.arrivals()["due"], page.arrivals()["sent"]) == (10 * length_s, 10 * length_s)
        page.swarm(run_time="2s", user_classes=["Steady", "Conversations"], results_dir=tmp_path)
        page.until_judged(3)
        assert scenarios_in(tmp_path) == {"Steady", "Conversations"}
        tabs = page.tabs()
        assert tabs["agentrig-slowest"][0]["trace"] in page.text("/agentrig")
    finally:
        process.send_signal(signal.SIGTERM)
        ran = ended(process)
    said = ran.stderr
    assert ran.returncode == 0, said
    assert "1 users for 2 scenarios" in said
    assert "run time: 2 s, counted from the first arrival that is due" in said
    (arrivals,) = tabs["agentrig-arrivals"]
    assert arrivals["p99_ms"] > 0
    assert arrivals["dropped"] == 0
    assert tabs["agentrig-containers"][0]["share"] == "100.0%"
    assert len(tabs["agentrig-slowest"][0]["trace"]) == 32


def test_a_stop_by_hand_in_the_web_page_sends_nothing_more_and_the_next_test_has_its_own_run_time(
    host: str,
) -> None:
    port = free_port()
    process = start("--web-port", port, "-H", host)
    try:
        wait_for(process, f"http://127.0.0.1:{port}/")
        page = Page(f"http://127.0.0.1:{port}", process)
        page.swarm(run_time="1h")
        until(lambda: page.arrivals().get("sent", 0) > 0, "a call", process)
        page.post("/stop")
        page.until_judged(1)
        page.swarm(run_time="2s")
        page.until_judged(2)
        assert (page.arrivals()["due"], page.arrivals()["sent"]) == (20, 20)
    finally:
        process.send_signal(signal.SIGTERM)
        said = ended(process).stderr
    assert said.count("the run time is over") == 1


def test_a_wrong_option_in_the_web_page_is_told_without_a_traceback(host: str) -> None:
    port = free_port()
    process = start("--web-port", port, "-H", host)
    try:
        wait_for(process, f"http://127.0.0.1:{port}/")
        page = Page(f"http://127.0.0.1:{port}", process)
        for wrong, says in (
            ({"p99_ms": "fast"}, "could not convert string to float: 'fast'"),
            ({"rate_factor": "0"}, "--rate-factor must be a number above 0"),
            ({"host": ""}, "no service to send to"),
            ({"host": "agent"}, "'agent' is no address of a service"),
        ):
            assert says in page.refused(**wrong)
    finally:
        process.send_signal(signal.SIGTERM)
        said = ended(process).stderr
    assert "Traceback" not in said
