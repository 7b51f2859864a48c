"""What goes wrong with the tool server, as a layer in front of it that knows messages and no tools."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from mcp.types import INVALID_REQUEST, UNSUPPORTED_PROTOCOL_VERSION
from starlette.types import ASGIApp, Receive, Scope, Send

from harness.simulator import draws
from harness.simulator.tool_server_config import (
    WITH_SESSIONS,
    WITHOUT_SESSIONS,
    ToolFaultRule,
    ToolServerConfig,
)

MESSAGE = "agentrig.message"
"""Where in the scope of a request its JSON-RPC message is, once it was read; empty for one that is none."""
SLOW_S, HANG_S = 5.0, 600.0
CONTENTS_KEPT = 10_000
SESSION = b"mcp-session-id"
BAD_REQUEST, NOT_FOUND, SERVER_ERROR = 400, 404, 500


class ToolFaults:
    """Serves the faults of a tool server, and passes all else on.

    Args:
        app: the MCP server.
        config: what it is told.
        sleep: waits.
    """

    def __init__(
        self,
        app: ASGIApp,
        config: ToolServerConfig,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self._app = app
        self._config = config
        self._sleep = sleep
        self._asked: Counter[str] = Counter()
        self._counts = draws.RuleCounts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a message on, unless a fault befalls it."""
        message = scope.get(MESSAGE)
        if message is None:
            await self._app(scope, receive, send)
            return
        if self._config.protocol is not None and (refusal := other_version(message, self._config.protocol)):
            await _answer(send, BAD_REQUEST, message | refusal)
            return
        match self._fault(message):
            case None:
                await self._app(scope, receive, send)
            case ToolFaultRule(kind="slow", delay_s=delay_s):
                await self._sleep(SLOW_S if delay_s is None else delay_s)
                await self._app(scope, receive, send)
            case ToolFaultRule(kind="hang", delay_s=delay_s):
                await self._hang(receive, HANG_S if delay_s is None else delay_s)
            case ToolFaultRule(kind="error_result"):
                text = "The tool failed: its backend answered 503 (simulated)."
                result = {"content": [{"type": "text", "text": text}], "isError": True}
                await _answer(send, 200, message | {"result": result | {"resultType": "complete"}})
            case ToolFaultRule(kind="server_error"):
                await _answer(send, SERVER_ERROR, {"error": "Internal Server Error"}, raw=True)
            case _:
                known = any(name == SESSION for name, _ in scope["headers"])
                told = "Session not found" if known else "Bad Request: Missing session ID"
                problem = {"error": {"code": INVALID_REQUEST, "message": told}, "id": None}
                await _answer(send, NOT_FOUND if known else BAD_REQUEST, problem)

    def _fault(self, message: dict[str, Any]) -> ToolFaultRule | None:
        if not self._config.faults:
            return None
        content = draws.call_id(str(message.get("method")), message.get("params"))
        if len(self._asked) >= CONTENTS_KEPT:
            self._asked.clear()
        self._asked[content] += 1
        rules = enumerate(self._config.faults)
        return next((rule for n, rule in rules if self._fires(n, rule, message, content)), None)

    def _fires(self, number: int, rule: ToolFaultRule, message: dict[str, Any], content: str) -> bool:
        params = message.get("params")
        tool = params.get("name") if isinstance(params, dict) else None
        if rule.method != message.get("method") or rule.tool not in (None, tool):
            return False
        return self._counts.fires(number, rule, self._config.seed, content, self._asked[content])

    async def _hang(self, receive: Receive, seconds: float) -> None:
        """Say nothing until the caller hangs up, or the time is over."""
        waiting = asyncio.ensure_future(self._sleep(seconds))
        gone = asyncio.ensure_future(_gone(receive))
        _, left = await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def other_version(message: dict[str, Any], spoken: str) -> dict[str, Any] | None:
    """Return the error of a server that speaks another version than the message opens with."""
    method = message.get("method")
    if spoken == WITH_SESSIONS and method == "server/discover":
        return {"error": {"code": INVALID_REQUEST, "message": "Bad Request: Missing session ID"}}
    if spoken == WITHOUT_SESSIONS and method == "initialize":
        params = message.get("params")
        asked = params.get("protocolVersion") if isinstance(params, dict) else None
        told = {"supported": [WITHOUT_SESSIONS], "requested": str(asked)}
        problem = {"code": UNSUPPORTED_PROTOCOL_VERSION, "message": "Unsupported protocol version"}
        return {"error": problem | {"data": told}}
    return None


async def _answer(send: Send, status: int, told: dict[str, Any], *, raw: bool = False) -> None:
    """Send a JSON-RPC answer to the message that `told` has the id of."""
    if not raw:
        told = {"jsonrpc": "2.0", "id": told.get("id")} | {
            k: told[k] for k in ("result", "error") if k in told
        }
    body = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
