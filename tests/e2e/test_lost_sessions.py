"""A tool session that its server has forgotten, by the real SDK over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from strands.types.tools import ToolUse

from harness.fleet.ports import HOST
from reference_agent.adapters import mcp
from reference_agent.adapters.lost_sessions import SessionLostError
from tests.e2e.waiting import DEADLINE_S
from tests.reference_agent.rig import run

pytestmark = pytest.mark.e2e

SHORT = timedelta(seconds=0.2)
SAYS_A_WORD = {"type": "object", "properties": {"found": {"type": "string"}}, "required": ["found"]}
UNKNOWN = {"error": {"code": -32600, "message": "Session not found"}}
Answer = tuple[int, dict[str, Any] | None]


class Replica:
    """A tool server whose answers to tool calls are given, None for never; afterwards it knows no session."""

    def __init__(self, answer: Answer | None, *, sessions: bool = True) -> None:
        self.calls = 0
        self._answer = answer
        self._sessions = sessions

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = [
            line.partition(b":")[2] for line in head.split(b"\r\n") if line.startswith(b"content-length")
        ]
        message = json.loads(await reader.readexactly(int(length[0]))) if length else {}
        answer = self.answered(message)
        if answer is None:
            return
        status, told = answer
        body = b"Not Found" if told is None else json.dumps(told).encode()
        lines = [b"HTTP/1.1 %d x" % status, b"content-length: %d" % len(body)]
        lines += [b"content-type: application/json"] if told is not None else []
        lines += [b"mcp-session-id: s"] if self._sessions else []
        writer.write(b"\r\n".join([*lines, b"", body]))
        await writer.drain()

    def answered(self, message: dict[str, Any]) -> Answer | None:
        told: dict[str, Any] = {"jsonrpc": "2.0", "id": message.get("id")}
        match message.get("method"):
            case "initialize":
                about = {"name": "replica", "version": "1"}
                result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": about}
                return 200, told | {"result": result}
            case "tools/list" if not self.calls:
                tool = {"name": "search", "inputSchema": {"type": "object"}, "outputSchema": SAYS_A_WORD}
                return 200, told | {"result": {"tools": [tool]}}
            case "notifications/initialized":
                return 202, None
            case "tools/call":
                self.calls += 1
                if self._answer is None:
                    return None
                status, said = self._answer
                return status, None if said is None else told | said
            case _:
                return 404, told | UNKNOWN


@asynccontextmanager
async def connected(replica: Replica) -> AsyncIterator[mcp.ToolClient]:
    async with await asyncio.start_server(replica, HOST, 0) as server:
        client = await mcp.connect(f"http://{HOST}:{server.sockets[0].getsockname()[1]}/mcp")
        yield client
        await client.aclose()


async def called(client: mcp.ToolClient, *, within: timedelta = timedelta(seconds=DEADLINE_S)) -> str:
    (tool,) = client.tools
    tool.timeout = within  # type: ignore[attr-defined]  # of MCPAgentTool
    use = ToolUse(toolUseId="t", name=tool.tool_name, input={"query": "x"})
    (event,) = [event async for event in tool.stream(use, {})]
    return str(event["tool_result"]["status"])


@pytest.mark.parametrize("answer", [(404, UNKNOWN), (404, None)], ids=["in-words", "bare"])
def test_a_server_that_knows_no_such_session_was_not_asked(answer: Answer) -> None:
    replica = Replica(answer)

    async def work() -> None:
        async with connected(replica) as client:
            with pytest.raises(SessionLostError, match="knows no such session"):
                await called(client)

    run(work())
    assert replica.calls == 1


@pytest.mark.parametrize(
    ("answer", "sessions"),
    [
        ((200, {"result": {"content": [{"type": "text", "text": "no"}], "isError": True}}), True),
        ((200, {"error": {"code": -32600, "message": "Session not found"}}), True),
        ((400, UNKNOWN), True),
        ((500, None), True),
        ((404, UNKNOWN), False),
        ((200, {"result": {"content": [], "structuredContent": {"found": 3}}}), True),
        (None, True),
    ],
    ids=["failed", "says-so", "400", "500", "no-session", "unfit-result", "no-answer"],
)
def test_what_may_have_been_done_is_a_call_that_failed(answer: Answer | None, *, sessions: bool) -> None:
    """The last two are followed by messages that are answered by 404: for the list, and that it may stop."""
    replica = Replica(answer, sessions=sessions)

    async def work() -> None:
        async with connected(replica) as client:
            within = SHORT if answer is None else timedelta(seconds=DEADLINE_S)
            assert await called(client, within=within) == "error"

    run(work())
    assert replica.calls == 1


def test_in_a_session_that_has_ended_here_nobody_is_asked() -> None:
    replica = Replica((200, UNKNOWN))

    async def work() -> None:
        async with connected(replica) as client:
            await client.aclose()
            with pytest.raises(SessionLostError, match="has ended"):
                await called(client)

    run(work())
    assert replica.calls == 0
