"""What the tool server is told: its tools, and what goes wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from harness.errors import InputError
from harness.outside.files import read_bytes
from harness.outside.text import parse_toml
from harness.simulator_config import Occurrence, Seconds, Strict
from harness.wrong_keys import validation_messages

WITH_SESSIONS, WITHOUT_SESSIONS = "2025-11-25", "2026-07-28"
_QUERY = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}


class ToolSpec(Strict):
    """A tool.

    Attributes:
        name, description: as they are listed.
        input_schema: JSON schema of its arguments; one `query` by default.
        result: what it answers, whatever it is asked; None for a sentence made of the arguments' hash.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    description: str = "Search the knowledge base for facts."
    input_schema: Mapping[str, Any] = Field(default=_QUERY)
    result: str | None = None


class ToolFaultRule(Occurrence):
    """What goes wrong, and when.

    Attributes:
        kind: `slow` (the answer comes `delay_s` later), `error_result` (a result that says that the tool
            failed), `hang` (no answer, until the caller gives up or `delay_s` are over), `server_error` (HTTP
            500), `session_forgotten` (the session is another replica's).
        method: of the messages that it befalls: `tools/call`, `tools/list`, `initialize`, ...
        tool: whose calls alone it befalls.
        delay_s: for those that take time.
    """

    kind: Literal["slow", "error_result", "hang", "server_error", "session_forgotten"]
    method: str = "tools/call"
    tool: str | None = None
    delay_s: Seconds | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.method != "tools/call" and (self.tool is not None or self.kind == "error_result"):
            msg = "a tool, and error_result, go with the method tools/call only"
            raise ValueError(msg)
        return self


class ToolServerConfig(Strict):
    """Everything that the tool server is told.

    Attributes:
        seed: of the draws.
        protocol: the only version of MCP that is spoken, with sessions (2025-11-25) or without
            (2026-07-28); None for both.
        tools: that there are.
        faults: the first that fires is served.
    """

    seed: int = 1
    protocol: Literal["2025-11-25", "2026-07-28"] | None = None
    tools: Annotated[tuple[ToolSpec, ...], Field(min_length=1)] = (ToolSpec(name="search"),)
    faults: tuple[ToolFaultRule, ...] = ()


def read_tools(file: Path | None) -> ToolServerConfig:
    """Read the configuration, the default one without a file.

    Raises:
        InputError: it is wrong; names file and key.
    """
    if file is None:
        return ToolServerConfig()
    try:
        return ToolServerConfig.model_validate(parse_toml(read_bytes(file).decode(), str(file)))
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is no TOML: {error}") from error
    except ValidationError as error:
        raise InputError(validation_messages(error, str(file), ToolServerConfig)) from error
