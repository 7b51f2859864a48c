"""The tool server: MCP by the official SDK over streamable HTTP, with a `search` tool or those of a file.

`python -m harness.simulator.mcp_server --port P [--handshake-s 0.05] [--tools FILE.toml]`

`GET /handshakes` says how many sessions were opened, whatever those who opened them tell of it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    gc.disable()  # what is imported stays: to look through it meanwhile takes a tenth of the start

import uvicorn
from mcp import types
from mcp.server.lowlevel import Server
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harness.contract import HANDSHAKES_PATH
from harness.errors import AgentrigError
from harness.outside.bounded_http import BoundedHttp
from harness.outside.text import parse_json
from harness.simulator.draws import call_id
from harness.simulator.server import listen, run_until_stopped
from harness.simulator.tool_faults import MESSAGE, ToolFaults, other_version
from harness.simulator.tool_server_config import ToolServerConfig, read_tools

KEEP_ALIVE_S = 120
MAX_HANDSHAKE_S = 60.0
MAX_BODY_BYTES = 1024 * 1024
BODY_S = 30.0
OPENING = ("initialize", "server/discover")
"""Methods of the first message of a session, in either revision of MCP."""
PARSE_ERROR = -32700
"""As JSON-RPC has it."""


def build_server(config: ToolServerConfig) -> Server[Any]:
    """Build the MCP server with its tools."""
    known = {tool.name: tool for tool in config.tools}
    listed = [
        types.Tool(name=tool.name, description=tool.description, input_schema=dict(tool.input_schema))
        for tool in config.tools
    ]

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        tool, arguments = known.get(params.name), params.arguments or {}
        if tool is None:
            return _result(f"Unknown tool: {params.name}", is_error=True)
        if missing := [name for name in tool.input_schema.get("required", ()) if name not in arguments]:
            return _result(f"{tool.name}: required and not given: {', '.join(missing)}", is_error=True)
        entry = call_id(tool.name, arguments)
        return _result(tool.result or f"1 result: entry {entry} says that it depends on the load.")

    return Server("agentrig-tools", on_list_tools=list_tools, on_call_tool=call_tool)


def _result(text: str, *, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=is_error)


async def _healthz(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ready"})


class WholeBody:
    """Lets a message through once it is whole and JSON, and read; what is too large, slow or deep is not.

    Args:
        app: the MCP server, which would read on for ever, and fail at what is nested without an end.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_S):
                body = await self._body(receive)
            message = parse_json(body)
        except TimeoutError:
            await JSONResponse({"error": f"the body took over {BODY_S:g} s"}, 408)(scope, receive, send)
            return
        except ValueError as error:
            said = {"jsonrpc": "2.0", "id": None, "error": {"code": PARSE_ERROR, "message": str(error)}}
            await JSONResponse(said, 400)(scope, receive, send)
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        known = {**scope, MESSAGE: message if isinstance(message, dict) else {}}
        await self._app(known, replay, send)

    async def _body(self, receive: Receive) -> bytes:
        body, more = bytearray(), True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > MAX_BODY_BYTES:
                raise ValueError(f"the body is over {MAX_BODY_BYTES} bytes")
        return bytes(body)


class Handshakes:
    """Counts the sessions that are opened, and tells how many; and delays them on request.

    A server that checks a login and loads its tools first takes its time. Who asks for a version that it does
    not speak opens no session by that, and asks again for another one.

    Args:
        app: the MCP server.
        delay_s: how long a handshake takes.
        sleep: waits.
        protocol: the only version that it speaks, None for all.
    """

    def __init__(
        self,
        app: ASGIApp,
        delay_s: float,
        sleep: Callable[[float], Any] = asyncio.sleep,
        *,
        protocol: str | None = None,
    ) -> None:
        self._app = app
        self._delay_s = delay_s
        self._protocol = protocol
        self._sleep = sleep
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, a handshake after a pause."""
        if scope["type"] == "http" and scope["path"] == HANDSHAKES_PATH:
            await JSONResponse({"handshakes": self._count})(scope, receive, send)
            return
        message = scope.get(MESSAGE, {})
        if message.get("method") in OPENING and not (
            self._protocol is not None and other_version(message, self._protocol)
        ):
            self._count += 1
            await self._sleep(self._delay_s)
        await self._app(scope, receive, send)


class JoinTrace:
    """Lets a message that tells no trace of its own belong to that of its HTTP request.

    Args:
        app: the MCP server, which looks into the message alone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, within its caller's trace."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        joined = context.attach(extract(headers))
        try:
            await self._app(scope, receive, send)
        finally:
            context.detach(joined)


def main() -> None:
    """Read the arguments and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m harness.simulator.mcp_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--handshake-s", type=float, default=0.0)
    parser.add_argument("--tools", type=Path, help="TOML of a ToolServerConfig: tools, and what goes wrong")
    args = parser.parse_args()
    gc.enable()
    if not 0 <= args.handshake_s <= MAX_HANDSHAKE_S:
        parser.error(f"--handshake-s {args.handshake_s}: give 0 to {MAX_HANDSHAKE_S:.0f}")
    try:
        config = read_tools(args.tools)
        opened = listen(args.host, args.port)
    except AgentrigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    # Serving a call, the SDK asks itself for its tools: what no caller traces is not traced.
    provider = TracerProvider(resource=Resource.create(), sampler=ParentBased(root=ALWAYS_OFF))
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)  # the SDK makes a span for each message, joined to the caller's
    routes = [Route("/healthz", _healthz)]
    tools = build_server(config).streamable_http_app(host=args.host, custom_starlette_routes=routes)
    faulty = ToolFaults(JoinTrace(tools), config)
    app = WholeBody(Handshakes(faulty, args.handshake_s, protocol=config.protocol))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=BoundedHttp,
            access_log=False,
            log_level="warning",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,  # clients keep a stream open that never ends by itself
        )
    )
    run_until_stopped(server, opened)
    provider.shutdown()


if __name__ == "__main__":
    main()
