"""Hands the model all that a tool gave: what Strands has no place for, it leaves out without a word.

By the protocol a result may be structured content alone, a link, or bytes of any kind. A model that is shown
nothing of it takes the tool for one that found nothing.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

from strands.tools.mcp import MCPClient
from strands.types.tools import ToolResultContent
from typing_extensions import override

NOT_FOR_THE_MODEL: Final = {"_meta", "annotations", "icons"}
BYTES: Final = ("blob", "data")


class WholeResults(MCPClient):
    """An MCP client whose results have nothing left out: what can't be shown is described."""

    @override
    async def call_tool_async(self, *args: Any, **kwargs: Any) -> Any:
        """Call a tool; the structured content of a result without words is told as JSON."""
        result = await super().call_tool_async(*args, **kwargs)
        structured = result.get("structuredContent")
        # A server that gives words as well gives the same in them, and the model would pay for it twice.
        if structured is not None and not any(part.get("text", "").strip() for part in result["content"]):
            result["content"] = [*result["content"], {"text": json.dumps(structured, ensure_ascii=False)}]
        return result

    @override
    def map_mcp_content_to_tool_result_content(self, content: Any) -> ToolResultContent:
        """Return what the model is shown of one part of a result."""
        try:
            shown = super().map_mcp_content_to_tool_result_content(content)
        except (KeyError, ValueError):  # an image of a kind that no model takes, or base64 that is none
            shown = None
        return shown or {"text": described(content.model_dump(mode="json", by_alias=True, exclude_none=True))}


def described(part: Mapping[str, Any]) -> str:
    """Return a part of a result in words: itself where it is text after all, else what is told about it."""
    about = {name: value for name, value in part.items() if name not in NOT_FOR_THE_MODEL}
    resource = about.pop("resource", None)
    if isinstance(resource, Mapping):
        about |= {name: value for name, value in resource.items() if name not in NOT_FOR_THE_MODEL}
    for name in BYTES:
        if name in about:
            raw = _decoded(about[name])
            if (text := _text(raw)) is not None:
                return text
            about[name] = f"{len(raw)} bytes, which can't be shown"
    return json.dumps(about, ensure_ascii=False)


def _decoded(base64: str) -> bytes:
    try:
        return b64decode(base64)
    except ValueError:
        return b""


def _text(raw: bytes) -> str | None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return text if text and "\0" not in text else None
