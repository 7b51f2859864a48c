"""The tool server's client: one session per container, its tools shared by every Agent."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from strands.tools.mcp import MCPAgentTool, MCPClient
from strands.types.tools import AgentTool, ToolSpec

from reference_agent.adapters.lost_sessions import ToolSession
from reference_agent.threads import on_own_thread

START_S = 30
ALIVE_S = 5.0
TOOL_S = 30.0
"""A tool call fails after this; by default it would wait for ever."""
MOST_PAGES = 100
"""Of the list of tools."""
NOT_CALLABLE = re.compile(r"[^A-Za-z0-9_-]")
MOST_LETTERS = 64
"""Of a tool's name; both model APIs take no more."""
THREAD = "tool-session"
"""The client blocks, and a server that hangs keeps it for minutes: its threads are its own."""


class EndlessListError(Exception):
    """After so many pages of tools there are still more."""


class ToolClient:
    """An open MCP session and its tools.

    Give an Agent the tools, never the client: an Agent that was given the client
    closes it when it ends.
    """

    def __init__(self, client: MCPClient, tools: Sequence[AgentTool]) -> None:
        self.tools = tuple(tools)
        self._client = client

    async def alive(self) -> bool:
        """Ask the server for its tools: does the session still work, and are they those that it had?"""
        try:
            async with asyncio.timeout(ALIVE_S):
                tools = await _all_tools(self._client)
        except Exception:  # noqa: BLE001 - whatever it is, the session is of no more use
            return False
        return _specs(tools) == _specs(self.tools)

    async def aclose(self) -> None:
        """End the session and its thread."""
        await _stop(self._client)


async def connect(url: str) -> ToolClient:
    """Open a session and list its tools; cancelled, it leaves at once and what it opened is closed."""
    client = ToolSession(url, START_S)
    starting = asyncio.ensure_future(on_own_thread(client.start, THREAD))
    try:
        await asyncio.shield(starting)
        tools = await _all_tools(client)
    except BaseException:
        stopping = asyncio.ensure_future(_stop_when_started(client, starting))
        _stopping.add(stopping)
        stopping.add_done_callback(_stopping.discard)
        raise
    for tool in tools:
        tool.timeout = timedelta(seconds=TOOL_S)
    return ToolClient(client, tools)


def _specs(tools: Sequence[AgentTool]) -> dict[str, ToolSpec]:
    return {tool.tool_name: tool.tool_spec for tool in tools}


async def _all_tools(client: MCPClient) -> list[MCPAgentTool]:
    """Return the tools of a server, which may list them in pages.

    Raises:
        EndlessListError: there is always one more.
    """
    tools: list[MCPAgentTool] = []
    token: str | None = None
    for _ in range(MOST_PAGES):
        page = await on_own_thread(partial(client.list_tools_sync, token), THREAD)
        tools += page
        token = page.pagination_token
        if token is None:
            return _named_for_models(client, tools)
    raise EndlessListError


def _named_for_models(client: MCPClient, tools: Sequence[MCPAgentTool]) -> list[MCPAgentTool]:
    """Return each tool once, under a name that a model can call it by.

    Servers call theirs `notes.read`, too, which no model's API takes. Nor does an Agent take two whose names
    differ by `-` and `_` alone: it could not be made, and every request would fail.
    """
    taken: set[str] = set()
    named = []
    for tool in {tool.tool_name: tool for tool in tools}.values():
        name = plain = NOT_CALLABLE.sub("_", tool.tool_name)[:MOST_LETTERS] or "tool"
        number = 1
        while name.replace("-", "_") in taken:
            number += 1
            name = f"{plain[: MOST_LETTERS - len(f'_{number}')]}_{number}"
        taken.add(name.replace("-", "_"))
        if name != tool.tool_name:
            tool = MCPAgentTool(tool.mcp_tool, client, name_override=name)  # noqa: PLW2901 - the same, renamed
        named.append(tool)
    return named


_stopping: set[asyncio.Future[None]] = set()  # the event loop itself holds tasks only weakly


async def _stop_when_started(client: MCPClient, starting: asyncio.Future[MCPClient]) -> None:
    await asyncio.wait([starting])
    if starting.exception() is None:  # else it has stopped by itself
        await _stop(client)


async def _stop(client: MCPClient) -> None:
    with contextlib.suppress(RuntimeError):  # what a session that is already dead raises
        await on_own_thread(lambda: client.stop(None, None, None), THREAD)
