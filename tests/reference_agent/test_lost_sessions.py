"""A tool whose session is lost: who asks it once more, and when nobody may."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from strands.types.tools import AgentTool, ToolGenerator, ToolSpec, ToolUse
from typing_extensions import override

from reference_agent.adapters.lost_sessions import SessionLostError
from tests.reference_agent.rig import Rig, Tools, rig, run
from tests.reference_agent.wire import DONE, USAGE, calls_tool, chunk, says, streamed

ASKED = calls_tool("look", '{"word": "tails"}')


class Look(AgentTool):
    """A tool of a session; what it raises is told as it is, as that of a tool session."""

    def __init__(self, described: str, answer: Callable[[str], str]) -> None:
        super().__init__()
        self._described = described
        self._answer = answer

    @property
    @override
    def tool_name(self) -> str:
        return "look"

    @property
    @override
    def tool_spec(self) -> ToolSpec:
        words = {"type": "object", "properties": {"word": {"type": "string"}}}
        return {"name": "look", "description": self._described, "inputSchema": {"json": words}}

    @property
    @override
    def tool_type(self) -> str:
        return "python"

    @override
    async def stream(self, tool_use: ToolUse, invocation_state: dict[str, Any], **_: Any) -> ToolGenerator:
        text = self._answer(tool_use["input"]["word"])
        yield {"toolUseId": tool_use["toolUseId"], "status": "success", "content": [{"text": text}]}


class Sessions:
    """Opens tool sessions, each in turn as it is told: one that lives, one that is lost, or none."""

    def __init__(
        self,
        *told: str,
        error: type[Exception] = SessionLostError,
        described: Sequence[str] = ("Look a word up.",),
    ) -> None:
        self.told = list(told)
        self.error = error
        self.described = list(described)
        self.called = 0

    def __call__(self) -> Tools:
        told = self.told.pop(0)
        if told == "none":
            raise ConnectionError

        def answer(word: str) -> str:
            self.called += 1
            if told == "lost":
                raise self.error("lost")
            return f"all about {word}"

        described, self.described = self.described[0], self.described[1:] or self.described
        return Tools(Look(described, answer), lives=told == "lives")


def shown(agent: Rig) -> str:
    """What the model was shown of the tool."""
    return str(agent.wire.bodies[1]["messages"][-1]["content"])


def test_a_tool_is_asked_again_in_a_new_session_and_the_old_one_is_closed(tmp_path: Path) -> None:
    opened = Sessions("lost", "lives")

    async def work() -> None:
        async with rig(tmp_path, ASKED, says("ok"), ASKED, says("ok"), tools=opened) as agent:
            assert (await agent.ask()).status_code == 200
            assert shown(agent) == "all about tails"
            assert (await agent.ask()).status_code == 200
            assert [session.closed for session in agent.sessions] == [True, False]

    run(work())
    assert opened.called == 3


def test_several_tools_of_one_answer_share_the_new_session(tmp_path: Path) -> None:
    opened = Sessions("lost", "lives")
    look = {"name": "look", "arguments": '{"word": "tails"}'}
    both = [{"id": f"t{n}", "index": n, "type": "function", "function": look} for n in range(2)]
    asked = streamed(chunk({"role": "assistant", "tool_calls": both}), chunk({}, "tool_calls"), USAGE, DONE)

    async def work() -> None:
        async with rig(tmp_path, asked, says("ok"), tools=opened) as agent:
            assert (await agent.ask()).status_code == 200
            results = [each["content"] for each in agent.wire.bodies[1]["messages"] if each["role"] == "tool"]
            assert [str(each) for each in results] == ["all about tails"] * 2
            assert len(agent.sessions) == 2

    run(work())
    assert opened.called == 4


@pytest.mark.parametrize(
    ("opened", "settings", "called"),
    [
        (Sessions("lost", "lost"), {}, 2),
        (Sessions("lost", "none"), {}, 1),
        (Sessions("lost", "lives"), {"agent_retry_max_attempts": 1}, 1),
        (Sessions("lost", "lives", error=RuntimeError), {}, 1),
    ],
    ids=["lost-again", "no-session", "no-retry", "may-be-done"],
)
def test_where_it_may_not_or_cannot_be_asked_again_the_model_is_told(
    tmp_path: Path, opened: Sessions, settings: dict[str, Any], called: int
) -> None:
    async def work() -> None:
        async with rig(tmp_path, ASKED, says("ok"), tools=opened, **settings) as agent:
            assert (await agent.ask()).json()["result"] == "ok"
            assert "lost" in shown(agent)

    run(work())
    assert opened.called == called


def test_another_tool_of_that_name_is_not_asked_what_this_one_was(tmp_path: Path) -> None:
    opened = Sessions("lost", "lives", described=["Look a word up.", "Delete a word."])

    async def work() -> None:
        async with rig(tmp_path, ASKED, says("ok"), tools=opened) as agent:
            assert (await agent.ask()).status_code == 200
            assert "lost" in shown(agent)
            assert len(agent.sessions) == 2

    run(work())
    assert opened.called == 1


def test_retries_of_tools_and_of_models_are_of_one_budget(tmp_path: Path) -> None:
    opened = Sessions(*["lost"] * 30)

    async def work() -> None:
        options = {"agent_retry_budget": 0.001}
        async with rig(tmp_path, *[ASKED, says("ok")] * 14, tools=opened, **options) as agent:
            for number in range(14):
                assert (await agent.ask(session=f"s{number}")).status_code == 200

    run(work())
    assert opened.called == 14 + 10  # the budget's reserve
