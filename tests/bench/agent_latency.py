"""What the agent's HTTP layer adds to a turn, and how `/ping` fares beside a long conversation.

The bare turn (a Strands Agent over the shared client, in this process) and the same turn behind
`POST /invocations` are asked in turns, one at a time, of the same simulator. Run it by `make bench`.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
from openai import AsyncOpenAI
from strands import Agent
from strands.agent.conversation_manager import NullConversationManager
from strands.models.openai import OpenAIModel

from tests.bench.agent_cost import free_port, running, wait_ready

TURNS = 400
WARM_UP = 30
LONG_SESSION_MESSAGES = 400
PINGS = 400
SESSION = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"


def main() -> None:
    """Run both measurements and print them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        simulator, agent = free_port(), free_port()
        argv = [sys.executable, "-m", "harness.simulator", "--port", str(simulator)]
        stack.enter_context(running("simulator", argv, {}, folder))
        wait_ready(f"http://127.0.0.1:{simulator}/healthz", "simulator", folder)
        env = {
            "PORT": str(agent),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{simulator}/v1",
            "OPENAI_API_KEY": "bench",
            "AGENT_SESSION_STORE": f"sqlite:///{folder}/sessions.db",
            "AGENT_CONCURRENCY_LIMIT": "8",
        }
        stack.enter_context(running("agent", [sys.executable, "-m", "reference_agent"], env, folder))
        wait_ready(f"http://127.0.0.1:{agent}/ping", "agent", folder)
        asyncio.run(layer(simulator, agent))
        asyncio.run(pings(agent))


async def layer(simulator: int, agent: int) -> None:
    """Measure the bare turn and the same over HTTP, in turns."""
    client = AsyncOpenAI(base_url=f"http://127.0.0.1:{simulator}/v1", api_key="bench", max_retries=0)
    model = OpenAIModel(client=client, model_id="sim-1")
    bare_ms, http_ms = [], []
    reader, writer = await asyncio.open_connection("127.0.0.1", agent)
    for number in range(WARM_UP + TURNS):
        begun = time.perf_counter()
        fresh = Agent(
            model=model,
            callback_handler=None,
            retry_strategy=None,
            conversation_manager=NullConversationManager(),
        )
        await fresh.invoke_async(f"Turn {number}")
        between = time.perf_counter()
        await post(reader, writer, number)
        ended = time.perf_counter()
        if number >= WARM_UP:
            bare_ms.append((between - begun) * 1e3)
            http_ms.append((ended - between) * 1e3)
    writer.close()
    bare, over = statistics.median(bare_ms), statistics.median(http_ms)
    print(f"p50 of {TURNS} turns: bare {bare:.2f} ms, over HTTP {over:.2f} ms", end=", ")
    print(f"which is {over - bare:+.2f} ms (goal <= 1.5)")


async def post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
    """Send one invocation over a bare socket: an HTTP client's own cost is not the agent's."""
    body = json.dumps({"prompt": f"Turn {number}"}).encode()
    session = f"latency-{number:06d}".ljust(40, "0")
    head = (
        f"POST /invocations HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"{SESSION}: {session}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if not answer.startswith("http/1.1 200"):
        raise RuntimeError(answer)
    await reader.readexactly(int(answer.split("content-length: ")[1].split("\r\n")[0]))


async def pings(agent: int) -> None:
    """Measure `/ping` while turns of a session of many messages are in work."""
    headers = {SESSION: "latency-long-session".ljust(40, "0")}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{agent}", timeout=60) as http:
        for number in range(LONG_SESSION_MESSAGES // 2):
            (
                await http.post("/invocations", json={"prompt": f"Turn {number}"}, headers=headers)
            ).raise_for_status()
        done = asyncio.Event()

        async def talk() -> None:
            number = 0
            while not done.is_set():
                number += 1
                body = {"prompt": f"Another {number}"}
                (await http.post("/invocations", json=body, headers=headers)).raise_for_status()

        talking = asyncio.create_task(talk())
        took_ms = []
        for _ in range(PINGS):
            begun = time.perf_counter()
            (await http.get("/ping")).raise_for_status()
            took_ms.append((time.perf_counter() - begun) * 1e3)
            await asyncio.sleep(0.005)
        done.set()
        await talking
    p99 = sorted(took_ms)[int(0.99 * len(took_ms)) - 1]
    print(
        f"/ping beside a session of {LONG_SESSION_MESSAGES} messages, {PINGS} times: "
        f"p50 {statistics.median(took_ms):.1f} ms, p99 {p99:.1f} ms (goal <= 50)"
    )


if __name__ == "__main__":
    main()
