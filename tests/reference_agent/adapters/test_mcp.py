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
        self.described = "does it"

    def start(self) -> "Paged":
        return self

    def stop(self, *_: Any) -> None:
        self.stopped = True

    def list_tools_sync(self, pagination_token: str | None = None) -> Any:
        self.asked.append(pagination_token)
        names, more = self.pages[pagination_token]
        specs = [{"name": name, "description": self.described} for name in names]
        tools = [
            SimpleNamespace(tool_name=spec["name"], tool_spec=spec, mcp_tool=SimpleNamespace(**spec))
            for spec in specs
        ]
        return PaginatedList(tools, token=more)


def connected(monkeypatch: pytest.MonkeyPatch, session: Paged) -> list[str]:
    client = asyncio.run(connecting(monkeypatch, session))
    return [tool.tool_name for tool in client.tools]


async def connecting(monkeypatch: pytest.MonkeyPatch, session: Paged) -> mcp.ToolClient:
    monkeypatch.setattr(mcp, "ToolSession", lambda *_: session)
    return await mcp.connect("http://tools")


def test_tools_of_all_pages_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Paged({None: (["a", "b"], "2"), "2": ([], "3"), "3": (["c"], None)})
    assert connected(monkeypatch, session) == ["a", "b", "c"]
    assert session.asked == [None, "2", "3"]


def test_each_tool_has_a_name_that_models_can_call_and_agents_take(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "x" * 70
    session = Paged(
        {
            None: (["notes.read", "notes_read", "a/b", "a-b", "ok"], "2"),
            "2": (["ok", long, f"{long}y", ""], None),
        }
    )
    assert connected(monkeypatch, session) == [
        *("notes_read", "notes_read_2", "a_b", "a-b_2", "ok"),
        *("x" * 64, "x" * 62 + "_2", "tool"),
    ]


def test_a_list_without_an_end_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Paged({None: (["a"], "more"), "more": (["b"], "more")})
    with pytest.raises(mcp.EndlessListError):
        connected(monkeypatch, session)
    assert len(session.asked) == mcp.MOST_PAGES


@pytest.mark.parametrize(
    ("names", "described", "alive"),
    [
        (["a", "b"], "does it", True),
        (["b", "a"], "does it", True),
        (["a"], "does it", False),
        (["a", "b", "c"], "does it", False),
        (["a", "b"], "does something else", False),
    ],
)
def test_a_session_whose_tools_are_others_by_now_is_of_no_more_use(
    monkeypatch: pytest.MonkeyPatch, names: list[str], described: str, *, alive: bool
) -> None:
    async def look() -> bool:
        session = Paged({None: (["a"], "2"), "2": (["b"], None)})
        client = await connecting(monkeypatch, session)
        session.pages, session.described = {None: (names, None)}, described
        return await client.alive()

    assert asyncio.run(look()) is alive
