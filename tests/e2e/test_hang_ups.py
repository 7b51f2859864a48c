"""Callers that hang up, models and tool servers that hang: what is given up ends, and frees what it held."""

import asyncio
import gc
import itertools
import random
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from signal import SIGTERM
from typing import Any

import httpx
import psutil
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from strands.types.exceptions import MCPClientInitializationError
from strands.types.tools import AgentTool, ToolUse

from harness.fleet.ports import HOST
from harness.simulator.mcp_server import build_server
from harness.simulator.tool_server_config import ToolServerConfig
from harness.simulator_config import Distribution, Latency, SimulatorConfig
from reference_agent.adapters.mcp import ToolClient, connect
from reference_agent.adapters.models import SPARE_CONNECTIONS
from reference_agent.adapters.proxies import ByEnvironment
from tests.e2e.agents import agents
from tests.e2e.in_process import Serving, serving, until_so
from tests.e2e.simulating import running
from tests.e2e.test_agent_lifecycle import NEVER_S, asked, left
from tests.e2e.waiting import DEADLINE_S
from tests.reference_agent.rig import run

pytestmark = pytest.mark.e2e

REQUESTS, AT_ONCE, LIMIT = 250, 12, 8
"""Four times as many in all."""
LOST_S = 20.0
"""A call that has no answer within this has no connection."""
SESSIONS = 3
"""A call that is cancelled at a rare moment ends the session of the SDK's client: an agent builds it anew."""
QUICK = SimulatorConfig(
    latency=Latency(ttft=Distribution(median_s=0.02), itl=Distribution(median_s=0.005), tokens=8)
)
SILENT = SimulatorConfig(latency=Latency(ttft=Distribution(median_s=NEVER_S)))
HANG_UPS = 9


@pytest.fixture(autouse=True)
def aws_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AK")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


async def hang_up(port: int, accept: str, after_s: float, *, rudely: bool) -> bytes:
    """Send a request, read what comes until it ends or the time is over, and hang up."""
    reader, writer = await asyncio.open_connection(HOST, port)
    head = f"POST /invocations HTTP/1.1\r\nhost: a\r\naccept: {accept}\r\nconnection: close\r\n"
    body = b'{"prompt": "hi"}'
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    got = b""
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(after_s):
            while piece := await reader.read(65_536):
                got += piece
    if rudely:
        writer.transport.abort()
    writer.close()
    return got


@pytest.mark.parametrize("provider", ["openai", "bedrock"])
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_after_hang_ups_at_random_moments_all_is_as_it_was(
    accept: str, provider: str, tmp_path: Path
) -> None:
    rng = random.Random(7)
    answers: list[bytes] = []

    async def caller(port: int, due: list[float]) -> None:
        while due:
            answers.append(await hang_up(port, accept, due.pop(), rudely=rng.random() < 0.5))

    async def work(url: str) -> None:
        store = f"sqlite:///{tmp_path}/sessions.db"
        options = {"agent_session_store": store, "agent_model_provider": provider}
        async with serving(url, agent_concurrency_limit=LIMIT, **options) as agent:
            await asyncio.gather(*(agent.ask() for _ in range(LIMIT)))
            tasks, threads = len(asyncio.all_tasks()), threading.active_count()
            begun_s = asyncio.get_running_loop().time()
            await asyncio.gather(*(agent.ask() for _ in range(LIMIT)))
            whole_s = asyncio.get_running_loop().time() - begun_s  # so long it takes here, beside as many
            # on a busy machine that differs from moment to moment: some wait for longer, and are answered
            due = [rng.uniform(0.0, rng.choice((1.5, 1.5, 1.5, 20.0)) * whole_s) for _ in range(REQUESTS)]
            await asyncio.gather(*(caller(agent.port, due) for _ in range(AT_ONCE)))
            await until_so("all slots free", lambda: agent.in_flight == 0)
            await until_so("the tasks as before", lambda: len(asyncio.all_tasks()) <= tasks)
            assert agent.model_connections <= LIMIT + SPARE_CONNECTIONS
            assert threading.active_count() <= threads + LIMIT
            assert (await agent.ask()).status_code == 200

    with running(QUICK) as model:
        run(work(model.url))
    whole = sum(b'"result"' in answer for answer in answers)
    assert len(answers) == REQUESTS
    assert 0 < whole < REQUESTS, "none was hung up on, or all were"


async def answers_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()
    writer.close()


def test_a_call_that_is_cancelled_at_any_step_gives_its_connection_back() -> None:
    """A pool with one place: where it is lost, no call gets through any more."""

    async def cancelled(http: httpx.AsyncClient, steps: int) -> bool:
        call = asyncio.create_task(http.get("/"))
        for _ in range(steps):
            await asyncio.sleep(0)
        ended = call.done()
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        return ended

    async def work() -> None:
        async with await asyncio.start_server(answers_each, HOST, 0) as server:
            url = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
            for steps in itertools.count():
                transport = ByEnvironment(httpx.Limits(max_connections=1))
                async with httpx.AsyncClient(transport=transport, base_url=url, timeout=DEADLINE_S) as http:
                    ended = await cancelled(http, steps)
                    async with asyncio.timeout(LOST_S):
                        assert (await http.get("/")).status_code == 200, steps
                    await cancelled(http, steps)  # now on a connection that was kept
                    async with asyncio.timeout(LOST_S):
                        assert (await http.get("/")).status_code == 200, steps
                if ended:
                    return

    run(work())


def test_a_handshake_that_fails_behind_a_proxy_costs_no_place_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pool with one place: who finds it lost is refused, and who comes next is sent."""
    came: list[bytes] = []

    async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    async def work() -> None:
        async with await asyncio.start_server(breaks_off, HOST, 0) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://{HOST}:{proxy.sockets[0].getsockname()[1]}")
            limits = httpx.Limits(max_connections=1)
            timeout = httpx.Timeout(DEADLINE_S, pool=0.1)
            async with httpx.AsyncClient(transport=ByEnvironment(limits), timeout=timeout) as http:
                for expected in (httpx.ConnectError, httpx.PoolTimeout) * 2:
                    with pytest.raises(expected):
                        await http.get("https://model.example/")
        assert len(came) == 2

    run(work())


@pytest.mark.parametrize("proxied", [False, True])
def test_a_call_that_is_cancelled_within_its_handshake_leaves_no_connection_open(
    monkeypatch: pytest.MonkeyPatch, *, proxied: bool
) -> None:
    """The collector of garbage would close them at last, of which nobody knows when it comes."""
    asked = asyncio.Event()

    class Silent(asyncio.Protocol):
        open = 0

        def connection_made(self, transport: Any) -> None:
            Silent.open += 1
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            if data.startswith(b"CONNECT"):
                self.transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                asked.set()

        def connection_lost(self, _: Exception | None) -> None:
            Silent.open -= 1

    async def work() -> None:
        async with await asyncio.get_running_loop().create_server(Silent, HOST, 0) as server:
            address = f"{HOST}:{server.sockets[0].getsockname()[1]}"
            if proxied:
                monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
            limits = httpx.Limits(max_connections=HANG_UPS + 1)
            async with httpx.AsyncClient(transport=ByEnvironment(limits), timeout=DEADLINE_S) as http:
                for _ in range(HANG_UPS):
                    asked.clear()
                    call = asyncio.create_task(
                        http.get("https://model.example/" if proxied else f"https://{address}/")
                    )
                    await asked.wait()
                    call.cancel()
                    with suppress(asyncio.CancelledError):
                        await call
                await until_so("all closed", lambda: Silent.open == 0)

    gc.disable()
    try:
        run(work())
    finally:
        gc.enable()


@asynccontextmanager
async def before_a_silent_model(url: str, folder: Path, **chosen: Any) -> AsyncIterator[Serving]:
    options = {
        "agent_session_store": f"sqlite:///{folder}/sessions.db",
        "agent_model_provider": "bedrock",
        "agent_model_silence_s": NEVER_S,
        "agent_concurrency_limit": 4,
    }
    async with serving(url, **(options | chosen)) as agent:
        yield agent


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_a_bedrock_call_that_nobody_waits_for_ends_and_only_then_its_slot_is_free(
    accept: str, tmp_path: Path, *, streaming: bool
) -> None:
    async def work() -> None:
        async with before_a_silent_model(model.url, tmp_path, agent_model_stream=streaming) as agent:
            for _ in range(HANG_UPS):
                asking = agent.begin(accept=accept)
                await until_so("the call", lambda: agent.model_connections == 1)
                asking.cancel()  # httpx closes the connection
                await until_so("the slot free", lambda: agent.in_flight == 0)
                assert agent.model_connections == 0
            model.told(QUICK)
            assert (await agent.ask()).status_code == 200

    with running(SILENT) as model:
        run(work())


def test_a_bedrock_call_over_its_deadline_ends_with_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with before_a_silent_model(model.url, tmp_path, agent_deadline_s=0.5) as agent:
            for _ in range(HANG_UPS):
                answer = await agent.ask()
                assert (answer.status_code, answer.json()["error_type"]) == (504, "deadline")
                await until_so("the slot free", lambda: agent.in_flight == 0)
                assert agent.model_connections == 0

    with running(SILENT) as model:
        run(work())


def test_a_bedrock_call_does_not_hold_up_the_exit(tmp_path: Path) -> None:
    env = {
        "AGENT_MODEL_PROVIDER": "bedrock",
        "AGENT_MODEL_SILENCE_S": str(NEVER_S),
        "AGENT_DRAIN_S": "0.2",
        "AWS_ACCESS_KEY_ID": "AK",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    with running(SILENT) as model:
        address = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": model.url}
        with agents(tmp_path, 1, 0.0, **env, **address) as fleet, asked(fleet.urls[0]) as answer:
            fleet.children[0].send(SIGTERM)
            assert left(fleet.children[0]) == 0
            assert answer.result().json()["error_type"] == "draining"


class Holds:
    """Lets no message of the named methods through to a tool server, while it is told to."""

    def __init__(self, app: ASGIApp) -> None:
        self.methods: set[bytes] = set()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            first = await receive()
            if any(method in first.get("body", b"") for method in self.methods):
                await asyncio.Event().wait()
            pending = [first]

            async def replay() -> Any:
                return pending.pop() if pending else await receive()

            await self._app(scope, replay, send)
        else:
            await self._app(scope, receive, send)


@contextmanager
def tool_server() -> Iterator[tuple[str, Holds]]:
    """A tool server by the real SDK, in a thread of this process."""
    holds = Holds(build_server(ToolServerConfig()).streamable_http_app(host=HOST))
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        server = uvicorn.Server(
            uvicorn.Config(holds, log_config=None, timeout_keep_alive=1, timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}/mcp", holds
        finally:
            server.should_exit = True
            thread.join(DEADLINE_S)


def test_tool_calls_that_are_cancelled_at_any_moment_leave_no_connection_behind() -> None:
    """The client sends in tasks of its own, on its own thread: a cancelled call tells them to stop."""

    def connections(port: int) -> int:
        return sum(bool(c.raddr) and c.raddr.port == port for c in psutil.Process().net_connections("tcp4"))

    async def called(tool: AgentTool) -> float:
        begun_s = asyncio.get_running_loop().time()
        use = ToolUse(toolUseId="t", name=tool.tool_name, input={"query": "tails"})
        (result,) = [event async for event in tool.stream(use, {})]
        assert "success" in str(result)
        return asyncio.get_running_loop().time() - begun_s

    async def cancelled(tool: AgentTool, due: list[float]) -> None:
        while due:
            with suppress(TimeoutError):
                async with asyncio.timeout(due.pop()):
                    await called(tool)

    async def used(tools: ToolClient) -> None:
        (tool,) = tools.tools
        call_s = max(await asyncio.gather(*(called(tool) for _ in range(AT_ONCE))))
        due = [random.Random(7).uniform(0.0, call_s) for _ in range(REQUESTS)]
        await asyncio.gather(*(cancelled(tool, due) for _ in range(AT_ONCE)))
        async with asyncio.timeout(LOST_S):
            await called(tool)
        port = int(url.split(":")[2].partition("/")[0])
        async with asyncio.timeout(LOST_S):
            while (
                connections(port) > 1
            ):  # a call closes those that were not used for a while, not the lost ones
                await asyncio.sleep(0.2)
                await called(tool)

    async def work() -> None:
        for _ in range(SESSIONS):
            tools = await connect(url)
            try:
                return await used(tools)
            except MCPClientInitializationError:
                continue
            finally:
                await tools.aclose()
        pytest.fail(f"{SESSIONS} sessions ended while calls were cancelled")

    with tool_server() as (url, _):
        run(work())


async def told_ready(agent: Serving, status: int, reason: str | None = None) -> None:
    """Wait until it says so of itself."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            answer = await agent.http.get("/readyz")
            if answer.status_code == status and answer.json().get("reason") == reason:
                return
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("method", [b"tools/list", b"initialize"])
def test_a_tool_server_that_hangs_once_is_tried_again_and_told_meanwhile(
    method: bytes, tmp_path: Path
) -> None:
    async def work() -> None:
        options = {
            "agent_session_store": f"sqlite:///{tmp_path}/sessions.db",
            "mcp_server_url": url,
            "agent_client_build_s": 1.0,
            "agent_deadline_s": 30.0,
        }
        holds.methods = {method, b"server/discover"} if method == b"initialize" else {method}
        async with serving(model.url, **options) as agent:
            lost = await agent.ask()
            assert (lost.status_code, lost.json()["error_type"]) == (503, "client_unavailable")
            assert lost.headers["x-agent-busy"] == "1"
            # a slow machine may need longer for the other client as well, and tries that again
            await told_ready(agent, 503, "the mcp client can't be built")
            holds.methods = set()
            await told_ready(agent, 200)
            assert (await agent.ask()).status_code == 200

    with tool_server() as (url, holds), running(QUICK) as model:
        run(work())


def test_a_tool_server_that_hangs_does_not_hold_up_the_exit(tmp_path: Path) -> None:
    with tool_server() as (url, holds):
        holds.methods = {b"tools/list"}
        with (
            agents(tmp_path, 1, 0.0, MCP_SERVER_URL=url, AGENT_DRAIN_S="0.2") as fleet,
            asked(fleet.urls[0]) as answer,
        ):
            fleet.children[0].send(SIGTERM)
            assert left(fleet.children[0]) == 0
            assert answer.result().json()["error_type"] in {"draining", "client_unavailable"}
