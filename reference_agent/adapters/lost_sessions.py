"""Tool sessions that the server has forgotten: what was asked in one was not done, and may be asked again.

A tool server that was started again, or another replica of it, knows no such session and answers 404: by the
protocol nothing was done, and the client opens another one (MCP of 2025, "Session Management"). In a session
that has ended on this side nothing was sent. All else that fails may have been done, and is not asked again.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any, Final

import httpx2
from mcp.client.streamable_http import streamable_http_client
from strands.types.exceptions import MCPClientInitializationError
from strands.types.tools import AgentTool, ToolGenerator, ToolSpec, ToolUse
from typing_extensions import override

from reference_agent.adapters.tool_results import WholeResults

SESSION: Final = "mcp-session-id"
CALL: Final = "tools/call"
HTTP_S: Final = httpx2.Timeout(30.0, read=300.0)
"""As the SDK's own client has it: a stream of the server may be silent for long."""
_unknown: ContextVar[list[bool] | None] = ContextVar("unknown", default=None)
"""Of each answer to the tool call that is under way: whether it said that there is no such session."""
Again = Callable[[AgentTool], Awaitable[AgentTool | None]]
"""Returns the same tool in a new session; None where there is none, or it may not be asked again."""


class SessionLostError(Exception):
    """There is no such session any more: what was asked in it was not done."""


class ToolSession(WholeResults):
    """An MCP client that tells a call which was surely not made from one that failed.

    Args:
        url: of the server.
        startup_timeout: seconds for its handshake.
    """

    def __init__(self, url: str, startup_timeout: int) -> None:
        super().__init__(lambda: _transport(url), startup_timeout=startup_timeout)

    @override
    async def call_tool_async(self, *args: Any, **kwargs: Any) -> Any:
        """Call a tool.

        Raises:
            SessionLostError: it was not called, as its session is lost.
        """
        unknown: list[bool] = []
        token = _unknown.set(unknown)  # the SDK hands the caller's context on, as far as its HTTP client
        try:
            result = await super().call_tool_async(*args, **kwargs)
        except MCPClientInitializationError as error:
            raise SessionLostError("the tool session has ended") from error
        finally:
            _unknown.reset(token)
        if result["status"] == "error" and unknown == [True]:
            raise SessionLostError("the tool server knows no such session")
        return result


@asynccontextmanager
async def _transport(url: str) -> AsyncIterator[Any]:
    async with (
        httpx2.AsyncClient(follow_redirects=True, timeout=HTTP_S, event_hooks={"response": [_note]}) as http,
        streamable_http_client(url, http_client=http) as streams,
    ):
        yield streams


async def _note(response: httpx2.Response) -> None:
    """Note what a tool call was answered; what else is asked in its course tells nothing of it."""
    unknown, request = _unknown.get(), response.request
    if unknown is None or request.method != "POST" or json.loads(request.content).get("method") != CALL:
        return
    unknown.append(response.status_code == HTTPStatus.NOT_FOUND and SESSION in request.headers)


class AskedAgain(AgentTool):
    """A tool that is asked once more where it was not asked, as its session was lost.

    Args:
        tool: of the session that there is.
        again: see `Again`.
    """

    def __init__(self, tool: AgentTool, again: Again) -> None:
        super().__init__()
        self._tool = tool
        self._again = again

    @property
    @override
    def tool_name(self) -> str:
        return self._tool.tool_name

    @property
    @override
    def tool_spec(self) -> ToolSpec:
        return self._tool.tool_spec

    @property
    @override
    def tool_type(self) -> str:
        return self._tool.tool_type

    @override
    async def stream(
        self, tool_use: ToolUse, invocation_state: dict[str, Any], **kwargs: Any
    ) -> ToolGenerator:
        """Ask the tool, and once more if need be."""
        try:
            async for event in self._tool.stream(tool_use, invocation_state, **kwargs):
                yield event
        except SessionLostError:
            tool = await self._again(self._tool)
            if tool is None:
                raise
        else:
            return
        async for event in tool.stream(tool_use, invocation_state, **kwargs):
            yield event
