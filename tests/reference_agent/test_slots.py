"""Whatever goes wrong with a request, and wherever: its slot is free afterwards, and nothing works on."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_agent.adapters.sessions.protocol import History, Turn
from reference_agent.contract import REQUEST_HEADER
from tests.reference_agent.rig import Exchange, MemoryStore, Tools, rig, run
from tests.reference_agent.wire import Reply, calls_tool, chunk, says, streamed

STREAM = {"accept": "text/event-stream"}
HALF = "\\ud83d"
"""Half of a surrogate pair, as JSON says it: no UTF-8 can carry it."""
PLACES = ("receive", "send", "load", "append", "after", "cancel", "hang up", "nothing")


class PlannedError(Exception):
    """Raised where a test wants it."""


class Failing(MemoryStore):
    """A store that raises in the named place."""

    def __init__(self, place: str) -> None:
        super().__init__(0)
        self.place = place

    async def load(self, session_id: str, request_id: str) -> History:
        if self.place == "load":
            raise PlannedError
        return await super().load(session_id, request_id)

    async def append(self, session_id: str, version: int, turn: Turn) -> None:
        if self.place == "append":
            raise PlannedError
        await super().append(session_id, version, turn)


class Faulty(Exchange):
    """A request whose `when`-th message is where its connection raises."""

    place = "nothing"
    when = 0

    async def _receive(self) -> dict[str, Any]:
        self._reached("receive")
        return await super()._receive()

    async def _send(self, message: Any) -> None:
        self._reached("send")
        await super()._send(message)

    def _reached(self, place: str) -> None:
        if self.place == place:
            if not self.when:
                raise PlannedError
            self.when -= 1


async def faulty(place: str, when: int, *replies: Reply, headers: dict[str, str]) -> tuple[int, int]:
    """Return how many slots are in use, and how many tasks at work, after a request with a fault in it."""
    store = Failing(place)
    async with rig(Path("unused"), *replies, tools=Tools, store=store) as agent:
        if place == "after":
            agent.parts.handler.after_answer = lambda *_: raises_now()
        before = len(asyncio.all_tasks())
        exchange = Faulty(agent.app, headers)
        exchange.place, exchange.when = place, when
        exchange.begin()
        for _ in range(when if place in {"cancel", "hang up"} else 0):
            await asyncio.sleep(0)
        assert exchange.task is not None
        if place == "hang up":
            exchange.gone.set()
        if place == "cancel":
            exchange.task.cancel()
        await asyncio.wait([exchange.task])
        if not exchange.task.cancelled():
            exchange.task.exception()
        for _ in range(20):  # what was cancelled has to run to its end
            await asyncio.sleep(0)
        return agent.parts.busy.state.in_flight, len(asyncio.all_tasks()) - before


def raises_now() -> None:
    raise PlannedError


@settings(max_examples=150, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    when=st.integers(0, 60),
    headers=st.sampled_from([{}, STREAM]),
    model=st.sampled_from(["answers", "breaks", "calls a tool"]),
)
def test_wherever_a_request_breaks_its_slot_is_free_and_no_task_is_left(
    place: str, when: int, headers: dict[str, str], model: str
) -> None:
    replies: dict[str, list[Reply]] = {
        "answers": [says("Hel", "lo")],
        "breaks": [streamed(chunk({"content": "Hel"}), PlannedError())],
        "calls a tool": [calls_tool("search"), says("found")],
    }
    if place in {"receive", "send"}:
        when %= 6
    assert run(faulty(place, when, *replies[model], headers=headers)) == (0, 0)


@pytest.mark.parametrize("headers", [{}, STREAM])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_prompt_that_no_utf_8_can_carry_is_refused_and_costs_no_slot(
    tmp_path: Path, headers: dict[str, str], share: float
) -> None:
    async def work() -> None:
        options = {"agent_concurrency_limit": 2, "agent_after_answer_share": share}
        async with rig(tmp_path, says("ok"), **options) as agent:
            for _ in range(3):
                exchange = Exchange(agent.app, headers, body=f'{{"prompt": "a {HALF}"}}'.encode()).begin()
                await asyncio.wait([exchange.task] if exchange.task else [])
                assert exchange.status == 400
            assert agent.parts.busy.state.in_flight == 0
            assert (await agent.ask("a 😀")).status_code == 200

    run(work())


def test_halves_of_a_character_in_an_answer_are_joined_or_replaced_and_come_again_when_asked(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        halves = streamed(
            *(chunk({"content": half}) for half in ("\ud83d", "\ude00", " \ud83d")), chunk({}, "stop")
        )
        async with rig(tmp_path, halves, says("ok")) as agent:
            first = await agent.ask(**{REQUEST_HEADER: "r"})
            again = await agent.ask(**{REQUEST_HEADER: "r"})
            assert (first.status_code, first.json()["result"]) == (200, "😀 \ufffd")
            assert again.json() == first.json()
            assert (await agent.ask("and then?")).status_code == 200
            assert "😀" in str(agent.wire.bodies[-1])

    run(work())


def test_halves_from_a_tool_are_mended_before_the_model_is_asked_again(tmp_path: Path) -> None:
    async def work() -> None:
        replies = calls_tool("search", '{"query": "\\\\ud83d"}'), says("found")
        async with rig(tmp_path, *replies, tools=Tools) as agent:
            answer = await agent.ask()
            assert (answer.status_code, answer.json()["result"]) == (200, "found")

    run(work())
