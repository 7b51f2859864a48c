import asyncio
from pathlib import Path
from typing import Any

import pytest

from reference_agent.contract import REQUEST_HEADER, SESSION_HEADER
from tests.reference_agent.rig import Exchange, deadlines, rig, run
from tests.reference_agent.wire import says


@pytest.mark.parametrize(
    ("body", "details"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"{}", '"prompt" is missing'),
        (b'{"prompt": 3}', '"prompt" is missing'),
        (b'{"prompt": "  "}', '"prompt" is missing'),
    ],
)
def test_a_body_that_is_no_request_is_answered_with_what_is_wrong(
    tmp_path: Path, body: bytes, details: str
) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            answer = await agent.http.post("/invocations", content=body)
            assert answer.status_code == 400
            assert set(answer.json()) == {"error", "details"}
            assert details in answer.json()["details"]
            assert agent.parts.busy.state.in_flight == 0

    run(work())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "Application/X-WWW-Form-Urlencoded; charset=utf-8"}, 415),
        ({"content-type": "multipart/form-data; boundary=x"}, 415),
        ({"origin": "http://elsewhere.example"}, 415),  # a browser sends a body of no type unasked, too
        ({"origin": "http://elsewhere.example", "content-type": "application/json"}, 200),  # it had to ask
        ({}, 200),
    ],
)
def test_a_browser_on_anothers_page_costs_no_model_call(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            answer = await agent.http.post("/invocations", content=b'{"prompt": "x"}', headers=headers)
            assert answer.status_code == status

    run(work())


@pytest.mark.parametrize("value", ["", "x" * 257, "tab\tbed"])
@pytest.mark.parametrize("header", [SESSION_HEADER, REQUEST_HEADER])
def test_an_identity_that_is_none_is_refused_by_its_name(tmp_path: Path, header: str, value: str) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            answer = await agent.ask(session=None, **{header: value})
            assert answer.status_code == 400
            assert header in answer.json()["details"]

    run(work())


def test_a_body_over_the_limit_is_given_up(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            answer = await agent.ask("x" * 1_100_000)
            assert answer.status_code == 413
            assert "over 1048576 bytes" in answer.json()["details"]

    run(work())


def test_a_body_that_does_not_come_is_not_waited_for_with_a_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reference_agent.contract.MAX_BODY_S", 0.0)

    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            slow = Exchange(agent.app, body=None).begin()
            await slow.ended()
            assert slow.status == 408
            assert agent.parts.busy.state.in_flight == 0

    run(work())


class Late(Exchange):
    """Sends its body when it is told to."""

    told: asyncio.Event

    async def _receive(self) -> dict[str, Any]:
        self.asked.set()
        await self.told.wait()
        return await super()._receive()


def test_the_time_of_a_request_runs_while_its_body_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = deadlines(monkeypatch)

    async def work() -> None:
        async with rig(tmp_path, says("ok"), agent_deadline_s=60.0) as agent:
            loop = asyncio.get_running_loop()
            exchange = Late(agent.app)
            exchange.told = asyncio.Event()
            exchange.begin()
            await exchange.asked.wait()
            clock, before_s = loop.time, loop.time()
            monkeypatch.setattr(loop, "time", lambda: clock() + 5.0)
            exchange.told.set()
            await exchange.ended()
            assert exchange.status == 200
            assert (limits[0].when() or 0.0) <= before_s + 60.0

    run(work())
