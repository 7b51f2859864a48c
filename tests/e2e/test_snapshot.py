"""A process that is restored from a snapshot finds its connections dead, and no caller is told of it."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.clock import SystemClock
from harness.fleet.ports import HOST
from harness.fleet.snapshot import sitecustomize as hook
from harness.fleet.surroundings import HOOK
from harness.records.setup import Container
from harness.records.weather import RestoredCopy
from harness.run import restoring
from harness.under_test import RequestShape
from reference_agent.health import RESTORED_S
from tests.e2e.address import Address
from tests.e2e.in_process import serving
from tests.e2e.redis_server import redis_server
from tests.e2e.simulating import running
from tests.e2e.test_agent_lifecycle import NEVER_S
from tests.e2e.test_hang_ups import tool_server
from tests.e2e.waiting import DEADLINE_S, until
from tests.reference_agent.rig import run

pytestmark = pytest.mark.e2e

SESSION_HEADER = RequestShape().session_header


def port_of(url: str) -> int:
    return int(url.split(":")[2].split("/", maxsplit=1)[0])


@pytest.mark.parametrize("callers", [1, 4])
def test_dead_connections_of_another_time_cost_no_error(tmp_path: Path, callers: int) -> None:
    async def work() -> None:
        options = {
            "agent_session_store": f"redis://{HOST}:{store.port}/0",
            "mcp_server_url": f"http://{HOST}:{tools.port}/mcp",
            "agent_model_silence_s": NEVER_S,
            "agent_retry_max_attempts": 1,
        }
        async with serving(f"http://{HOST}:{models.port}", **options) as agent:
            assert (await agent.ask()).status_code == 200
            opened = models.opened
            for address in (store, models, tools):
                address.forget()
            now = agent.parts.health._now
            agent.parts.health._now = lambda: now() + RESTORED_S + 1
            first = await asyncio.gather(*(agent.ask() for _ in range(callers)))
            assert [answer.status_code for answer in first] == [200] * callers
            assert (await agent.http.get("/readyz")).status_code == 200
            assert opened < models.opened <= opened + callers

    with (
        redis_server(tmp_path) as redis,
        running() as model,
        tool_server() as (tools_url, _),
        Address(redis.port) as store,
        Address(port_of(model.url)) as models,
        Address(port_of(tools_url)) as tools,
    ):
        run(work())


class Counting(BaseHTTPRequestHandler):
    """An agent that answers once as many are in work as may be, and counts them."""

    together = threading.Barrier(4)
    traced: ClassVar[list[bool]] = []

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.traced.append("traceparent" in self.headers)
        self.together.wait(DEADLINE_S)
        self.tell({"response": "yes", "session_id": f"{id(self)}"})

    def do_GET(self) -> None:
        self.tell({"status": "Healthy", "time_of_last_update": 7})

    def tell(self, body: dict[str, Any], status: int = 200) -> None:
        told = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Standing:
    """A fleet of one container, which is asked for nothing else."""

    def __init__(self, address: str) -> None:
        self.containers = (Container(name="agent-1", address=address),)

    def restore(self) -> tuple[float, frozenset[str]]:
        return 5.0, frozenset({"agent-1"})


def restored(agent: type[Counting], *, limit: int) -> RestoredCopy:
    """Let an agent be warmed, restored, and asked; return what was seen of it."""
    with ThreadingHTTPServer((HOST, 0), agent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fleet: Any = Standing(f"{HOST}:{server.server_port}")
        try:
            (copy,) = restoring.restore(fleet, RequestShape(), SystemClock(), limit=limit)
        finally:
            server.shutdown()
    return copy


def test_the_first_requests_after_a_restore_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else no two of them could renew the same client, each for itself."""
    monkeypatch.setattr(restoring, "_warm", lambda *_: True)
    copy = restored(Counting, limit=8)
    assert sorted(Counting.traced) == [False, False, False, True]
    assert (copy.status, copy.stamp, copy.hooked, len(set(copy.sessions))) == (200, 7.0, True, 3)
    assert copy.failed == ()


class Choosy(Counting):
    """An agent that answers no bare request at all, or none after its restore."""

    bare_before: ClassVar[bool] = True
    bare: ClassVar[list[bool]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        named = bool(body.get("session") or self.headers.get(SESSION_HEADER))
        if not named:
            self.bare.append(True)
        ok = named or (self.bare_before and len(self.bare) == 1)
        told = {"response": "yes"} if ok else {"error": "the client is closed"}
        self.tell(told, 200 if ok else 500)


@pytest.mark.parametrize(("bare_before", "failed"), [(True, 3), (False, 0)])
def test_those_that_come_with_the_first_have_to_be_answered_where_such_were_before(
    monkeypatch: pytest.MonkeyPatch, failed: int, *, bare_before: bool
) -> None:
    """The first brings a session, as each caller does of an agent that asks for one."""
    monkeypatch.setattr(Choosy, "bare_before", bare_before)
    monkeypatch.setattr(Choosy, "bare", [])
    copy = restored(Choosy, limit=8)
    assert (copy.status, copy.error) == (200, None)
    assert len(copy.failed) == failed
    assert all("500" in each for each in copy.failed)


class Stamping(Counting):
    """An agent of another life, which stamps its status when that changes, and by nothing else."""

    limit = 4
    busy: ClassVar[set[int]] = set()
    lock = threading.Lock()
    stamp = 3

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        with self.lock:
            self.busy.add(id(self))
            type(self).stamp = 9 if len(self.busy) == self.limit else self.stamp
        threading.Event().wait(0.2)  # long enough for all that are sent together
        with self.lock:
            self.busy.discard(id(self))
        self.tell({"response": "yes"})

    def do_GET(self) -> None:
        self.tell({"status": "Healthy", "time_of_last_update": self.stamp})


@pytest.mark.parametrize(("limit", "told"), [(1, None), (2, 3.0), (4, 3.0), (8, 3.0)])
def test_what_is_asked_after_a_restore_does_not_stamp_the_status_by_itself(
    monkeypatch: pytest.MonkeyPatch, limit: int, told: float | None
) -> None:
    """Requests that fill a container do: then a stamp of another life is gone before it is looked at."""
    monkeypatch.setattr(restoring, "_warm", lambda *_: True)
    monkeypatch.setattr(Stamping, "limit", limit)
    monkeypatch.setattr(Stamping, "stamp", 3)
    copy = restored(Stamping, limit=limit)
    assert (copy.status, copy.stamp) == (200, told)


DRAWS = """
import os, random, secrets, sys, tempfile, time, uuid
made = random.Random()
def told():
    drawn = random.random(), made.random(), uuid.uuid4(), secrets.token_hex(4), round(time.time())
    return " ".join(map(str, drawn))
print(told(), tempfile.mktemp(), flush=True)
while not os.path.exists(os.path.join(os.environ["AGENTRIG_SNAPSHOT"], os.environ["AGENTRIG_SNAPSHOT_NAME"])):
    time.sleep(0.01)
print(told(), flush=True)
"""


def test_two_processes_with_the_hook_are_copies_and_their_system_is_their_own_after_it(
    tmp_path: Path,
) -> None:
    def begun(name: str) -> subprocess.Popen[str]:
        env = os.environ | {
            "PYTHONPATH": str(HOOK),
            hook.FOLDER: str(tmp_path),
            hook.NAME: name,
            hook.AGE: "7200",
        }
        argv = [sys.executable, "-c", DRAWS]
        return subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True)

    copies = [begun(f"agent-{number}") for number in (1, 2)]
    try:
        first = [copy.stdout.readline().split() for copy in copies if copy.stdout]
        (tmp_path / hook.RESTORED).touch()
        for number in (1, 2):
            until(f"copy {number} restored", lambda n=number: any(tmp_path.glob(f"agent-{n}.*")))  # type: ignore[misc]
            (tmp_path / f"agent-{number}").touch()
        then = [copy.communicate(timeout=DEADLINE_S)[0].split() for copy in copies]
    finally:
        for copy in copies:
            copy.kill()
            copy.wait()
    assert first[0][:4] == first[1][:4]
    assert first[0][5] == first[1][5]
    assert then[0][:2] == then[1][:2]  # Python's own generators
    assert then[0][2] != then[1][2]
    assert then[0][3] != then[1][3]
    assert int(then[0][4]) - int(first[0][4]) >= 7200
