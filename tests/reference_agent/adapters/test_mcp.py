"""The tool server's client, with a session whose server lists its tools in pages."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from strands.types import PaginatedList

from reference_agent.adapters import mcp


class Paged:
    """A session; page by page, `more` says by what the next one is asked for, None for nothing."""

    def __init__(self, pages: dict[str | None, tuple[list[str], str | None]]) -> None:
        self.pages = pages
        self.asked: list[str | None] = []
        self.stopped = False

    def start(self) -> "Paged":
        return self

    def stop(self, *_: Any) -> None:
        self.stopped = True

    def list_tools_sync(self, pagination_token: str | None = None) -> Any:
        self.asked.append(pagination_token)
        names, more = self.pages[pagination_token]
        return PaginatedList([SimpleNamespace(tool_name=name) for name in names], token=more)


def connected(monkeypatch: pytest.MonkeyPatch, session: Paged) -> list[str]:
    monkeypatch.setattr(mcp, "MCPClient", lambda **_: session)
    client = asyncio.run(mcp.connect("http://tools"))
    return [tool.tool_name for tool in client.tools]


def test_tools_of_all_pages_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Paged({None: (["a", "b"], "2"), "2": ([], "3"), "3": (["c"], None)})
    assert connected(monkeypatch, session) == ["a", "b", "c"]
    assert session.asked == [None, "2", "3"]


def test_a_list_without_an_end_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Paged({None: (["a"], "more"), "more": (["b"], "more")})
    with pytest.raises(mcp.EndlessListError):
        connected(monkeypatch, session)
    assert len(session.asked) == mcp.MOST_PAGES
