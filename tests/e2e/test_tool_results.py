"""What a tool gave, by the real SDK over a real socket: all of it is shown to the model, or told about."""

import asyncio
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from mcp import types
from mcp.server.lowlevel import Server
from strands.models.openai import OpenAIModel
from strands.tools.registry import ToolRegistry
from strands.types.tools import ToolUse

from harness.fleet.ports import HOST
from reference_agent.adapters.mcp import connect
from tests.e2e.waiting import DEADLINE_S
from tests.reference_agent.rig import run

pytestmark = pytest.mark.e2e

RAW = b64encode(b"\xff\xfe\x00\x01").decode()


def packed(text: str) -> str:
    return b64encode(text.encode()).decode()


def blob(data: str, kind: str | None) -> types.EmbeddedResource:
    contents = types.BlobResourceContents(uri="file:///notes/may", mime_type=kind, blob=data)
    return types.EmbeddedResource(resource=contents)


def words(text: str) -> types.TextContent:
    return types.TextContent(text=text)


def link() -> types.ResourceLink:
    return types.ResourceLink(
        uri="file:///notes/may", name="notes", description="of May", _meta={"for": "the client alone"}
    )


RESULTS: dict[str, tuple[types.CallToolResult, tuple[str, ...]]] = {
    "structured": (types.CallToolResult(content=[], structured_content={"found": 3}), ('{"found": 3}',)),
    "blank": (
        types.CallToolResult(content=[words(" ")], structured_content={"found": 3}),
        ('{"found": 3}',),
    ),
    "failed": (
        types.CallToolResult(content=[], structured_content={"why": "ä"}, is_error=True),
        ('{"why": "ä"}',),
    ),
    "said": (
        types.CallToolResult(content=[words("three were found")], structured_content={"found": 3}),
        ("three were found",),
    ),
    "link": (types.CallToolResult(content=[link()]), ("file:///notes/may", "notes", "of May")),
    "document": (
        types.CallToolResult(content=[blob(RAW, "application/pdf")]),
        ("file:///notes/may", "application/pdf", "4 bytes, which can't be shown"),
    ),
    "untyped": (types.CallToolResult(content=[blob(packed("select 1"), None)]), ("select 1",)),
    "odd": (
        types.CallToolResult(content=[blob("no base64!", "application/pdf")]),
        ("file:///notes/may", "bytes, which can't be shown"),
    ),
    "sound": (
        types.CallToolResult(content=[types.AudioContent(data=RAW, mime_type="audio/wav")]),
        ("audio/wav", "4 bytes, which can't be shown"),
    ),
    "scan": (
        types.CallToolResult(content=[words("page 1"), types.ImageContent(data=RAW, mime_type="image/tiff")]),
        ("page 1", "image/tiff", "4 bytes, which can't be shown"),
    ),
    "drawing": (
        types.CallToolResult(content=[types.ImageContent(data=packed("<svg/>"), mime_type="image/svg+xml")]),
        ("<svg/>",),
    ),
}


Results = Mapping[str, types.CallToolResult]


@contextmanager
def tool_server(results: Results) -> Iterator[str]:
    """Serve a tool for each result, by the same name."""

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        tools = [types.Tool(name=name, description=name, input_schema={"type": "object"}) for name in results]
        return types.ListToolsResult(tools=tools)

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        return results[params.name]

    app = Server("results", on_list_tools=list_tools, on_call_tool=call_tool).streamable_http_app(host=HOST)
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        config = uvicorn.Config(app, log_config=None, timeout_keep_alive=1, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            thread.join(DEADLINE_S)


async def all_called(url: str) -> dict[str, tuple[str, Any]]:
    """Return by each tool's name how a call of it ended, and what a model is shown."""
    shown: dict[str, tuple[str, Any]] = {}
    tools = await connect(url)
    try:
        ToolRegistry().process_tools(list(tools.tools))  # as each Agent takes them
        async with asyncio.timeout(DEADLINE_S):
            for tool in tools.tools:
                use = ToolUse(toolUseId="t", name=tool.tool_name, input={})
                (event,) = [event async for event in tool.stream(use, {})]
                result = event["tool_result"]
                message = OpenAIModel.format_request_tool_message(result)
                shown[tool.tool_name] = result["status"], message["content"]
    finally:
        await tools.aclose()
    return shown


def test_tools_of_any_name_can_be_called_each_as_itself() -> None:
    names = ("notes.read", "notes_read", "notes-read", "admin/notes")
    with tool_server({name: types.CallToolResult(content=[words(name)]) for name in names}) as url:
        shown: dict[str, tuple[str, Any]] = run(all_called(url))
    assert shown == {
        "notes_read": ("success", "notes.read"),
        "notes_read_2": ("success", "notes_read"),
        "notes-read_3": ("success", "notes-read"),
        "admin_notes": ("success", "admin/notes"),
    }


def test_whatever_a_tool_gives_the_model_is_shown_it_or_told_of_it() -> None:
    with tool_server({name: result for name, (result, _) in RESULTS.items()}) as url:
        shown: dict[str, tuple[str, Any]] = run(all_called(url))
    assert shown.keys() == RESULTS.keys()
    for name, (_, expected) in RESULTS.items():
        status, content = shown[name]
        assert status == ("error" if name == "failed" else "success"), name
        assert isinstance(content, str), name
        assert all(each in content for each in expected), (name, content)
        assert "alone" not in content
    assert shown["said"][1] == "three were found"
    assert shown["untyped"][1] == "select 1"
