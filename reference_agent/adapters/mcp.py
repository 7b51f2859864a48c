"""The tool server's client: one session per container, its tools shared by every Agent."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta

from strands.tools.mcp import MCPClient
from strands.types.tools import AgentTool

START_S = 30
ALIVE_S = 5.0
TOOL_S = 30.0
"""A tool call fails after this; by default it would wait for ever."""


class ToolClient:
    """An open MCP session and its tools.

    Give an Agent the tools, never the client: an Agent that was given the client
    closes it when it ends.
    """

    def __init__(self, client: MCPClient, tools: Sequence[AgentTool]) -> None:
        self.tools = tuple(tools)
        self._client = client

    async def alive(self) -> bool:
        """Ask the server for its tools: does the session still work?"""
        try:
            async with asyncio.timeout(ALIVE_S):
                await asyncio.to_thread(self._client.list_tools_sync)
        except Exception:  # noqa: BLE001 - whatever it is, the session is of no more use
            return False
        return True

    async def aclose(self) -> None:
        """End the session and its thread."""
        with contextlib.suppress(RuntimeError):  # what a session that is already dead raises
            await asyncio.to_thread(self._client.stop, None, None, None)


async def connect(url: str) -> ToolClient:
    """Open a session and list its tools."""

    def start() -> ToolClient:
        client = MCPClient(url=url, startup_timeout=START_S)
        client.start()
        try:
            tools = client.list_tools_sync()
            for tool in tools:
                tool.timeout = timedelta(seconds=TOOL_S)
            return ToolClient(client, tools)
        except BaseException:
            client.stop(None, None, None)
            raise

    return await asyncio.to_thread(start)
