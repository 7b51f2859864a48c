import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from strands import tool

from reference_agent.adapters.sessions.protocol import MAX_TURN_BYTES, Turn
from reference_agent.contract import DEADLINE_HEADERS, MAX_BODY_BYTES, REQUEST_HEADER, SESSION_HEADER
from reference_agent.history import recent
from tests.reference_agent.rig import Exchange, MemoryStore, Rig, Tools, deadlines, identity, rig, run, search
from tests.reference_agent.wire import DONE, USAGE, Reply, answers, calls_tool, chunk, refuses, says, streamed


def test_a_turn_is_answered_and_kept(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("Hello", " there")) as agent:
            answer = await agent.ask("hi", **{REQUEST_HEADER: "r1"})
            assert answer.json() == {"result": "Hello there", "session_id": "s"}
            assert answer.headers[SESSION_HEADER] == "s"
            assert answer.headers[REQUEST_HEADER] == "r1"
            kept = await agent.parts.store.load("s", "r1")
            assert [message["role"] for message in kept.messages] == ["user", "assistant"]

    run(work())


def test_an_answer_in_one_piece_is_an_answer(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, answers("Hello"), agent_model_stream=False) as agent:
            assert (await agent.ask()).json()["result"] == "Hello"

    run(work())


def test_a_request_without_identity_is_given_one(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("a")) as agent:
            one, two = await agent.ask(session=None), await agent.ask(session=None)
            assert one.headers[SESSION_HEADER] != two.headers[SESSION_HEADER]
            assert one.headers[REQUEST_HEADER] != two.headers[REQUEST_HEADER]

    run(work())


def test_any_container_goes_on_with_a_conversation(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("Hello")) as first:
            await first.ask("my name is Ada")
        async with rig(tmp_path, says("Ada")) as second:
            await second.ask("what is my name?")
            sent = second.wire.bodies[0]["messages"]
            assert [message["role"] for message in sent] == ["system", "user", "assistant", "user"]
            assert "my name is Ada" in str(sent[1])

    run(work())


def test_sessions_never_see_one_another(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), agent_concurrency_limit=20) as agent:
            prompts = [(f"s{n}", f"canary-{n}") for n in range(20)]
            await asyncio.gather(*(agent.ask(canary, session=session) for session, canary in prompts))
            await asyncio.gather(*(agent.ask("again", session=session) for session, _ in prompts))
            for session, canary in prompts:
                kept = str((await agent.parts.store.load(session, "-")).messages)
                assert canary in kept
                assert kept.count("canary-") == 1
            assert all(str(body).count("canary-") == 1 for body in agent.wire.bodies)

    run(work())


def test_a_tool_turn_is_kept_whole(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(
            tmp_path, calls_tool("search", '{"query": "tails"}'), says("found"), tools=Tools
        ) as agent:
            assert (await agent.ask()).json()["result"] == "found"
            kept = (await agent.parts.store.load("s", "-")).messages
            assert [message["role"] for message in kept] == ["user", "assistant", "user", "assistant"]
            assert "nothing about tails" in str(kept[2])
            assert not any("metadata" in message for message in kept)

    run(work())


def test_a_failed_turn_leaves_nothing_behind(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, refuses(401, "invalid_api_key"), says("ok")) as agent:
            assert (await agent.ask("lost")).status_code == 502
            assert await agent.turns() == 0
            await agent.ask("kept")
            assert "lost" not in str(agent.wire.bodies[-1])

    run(work())


def test_a_request_that_is_sent_again_gets_the_answer_that_is_there(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("first"), says("second")) as agent:
            one = await agent.ask(**{REQUEST_HEADER: "r1"})
            two = await agent.ask(**{REQUEST_HEADER: "r1"})
            assert one.json() == two.json()
            assert len(agent.wire.requests) == 1
            assert await agent.turns() == 1

    run(work())


def test_of_two_requests_of_a_session_at_once_one_is_told_to_come_again(tmp_path: Path) -> None:
    store = MemoryStore(2)  # neither is asked before both have read

    async def work() -> None:
        async with rig(tmp_path, says("ok"), store=store, build=store.all_came) as agent:
            both = await asyncio.gather(agent.ask("one"), agent.ask("two"))
            assert sorted(answer.status_code for answer in both) == [200, 409]
            loser = next(answer for answer in both if answer.status_code == 409)
            assert loser.json()["error_type"] == "session_conflict"
            assert "again" in loser.json()["message"]
            assert await agent.turns() == 1
            assert (await agent.ask("two")).status_code == 200

    run(work())


@pytest.mark.parametrize("turns", [0, 2])
def test_a_session_that_is_deleted_while_a_request_is_in_work_stays_deleted(
    turns: int, tmp_path: Path
) -> None:
    @tool
    async def delete() -> str:
        """Delete the session, as somebody else would meanwhile."""
        return str((await agent.http.delete("/sessions/s")).status_code)

    async def work() -> None:
        nonlocal agent
        replies = [*[says("ok")] * turns, calls_tool("delete"), says("late"), says("anew")]
        async with rig(tmp_path, *replies, tools=lambda: Tools(delete)) as agent:
            for _ in range(turns):
                assert (await agent.ask()).status_code == 200
            answer = await agent.ask()
            assert "204" in str(agent.wire.bodies[-1])
            assert (answer.status_code, answer.json()["error_type"]) == (409, "session_conflict")
            assert list((await agent.parts.store.load("s", "-")).messages) == []
            assert (await agent.ask("again")).status_code == 200
            assert len((await agent.parts.store.load("s", "-")).messages) == 2

    agent: Rig
    run(work())


def test_the_same_request_twice_at_once_is_one_turn_and_one_answer(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("one"), says("two")) as agent:
            both = await asyncio.gather(*(agent.ask(**{REQUEST_HEADER: "r1"}) for _ in range(2)))
            assert [answer.status_code for answer in both] == [200, 200]
            assert both[0].json() == both[1].json()
            assert await agent.turns() == 1

    run(work())


@pytest.mark.parametrize("prompt", ["a" * (MAX_BODY_BYTES - 20), "\u0436" * 200_000])
def test_a_prompt_that_is_too_large_to_be_kept_costs_no_model_call(prompt: str, tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            answer = await agent.ask(prompt)
            assert (answer.status_code, answer.json()["error_type"]) == (413, "turn_too_large")
            assert len(agent.wire.requests) == await agent.turns() == 0
            assert agent.parts.busy.state.in_flight == 0

    run(work())


@tool
def library() -> str:
    """Return more than anybody can keep."""
    return "a" * MAX_TURN_BYTES


@pytest.mark.parametrize(
    ("replies", "paid"),
    [
        pytest.param([says("a" * 600_000)], 1, id="an answer"),
        pytest.param([says("a" * 300_000)], 1, id="an answer, which is kept twice"),
        pytest.param([calls_tool("library"), says("ok")], 1, id="a tool's result"),
        pytest.param([calls_tool("search"), says("a" * 600_000), says("ok")], 2, id="an answer after a tool"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_what_comes_too_large_to_be_kept_is_an_error_of_its_own_and_ends_the_turn(
    replies: list[Reply], paid: int, accept: str, tmp_path: Path
) -> None:
    async def work() -> None:
        async with rig(tmp_path, *replies, tools=lambda: Tools(library, search)) as agent:
            answer = await agent.ask("b" * 600_000, accept=accept)
            last = answer.text.removesuffix("\n\n").rpartition("data: ")[2]
            assert json.loads(last)["error_type"] == "answer_too_large"
            assert answer.status_code == (
                200 if accept == "text/event-stream" and "delta" in answer.text else 422
            )
            assert len(agent.wire.requests) == paid
            assert agent.parts.busy.state.in_flight == await agent.turns() == 0

    run(work())


NO_TOOL = streamed(chunk({"role": "assistant"}), chunk({}, "tool_calls"), USAGE, DONE)
NAMELESS = streamed(
    chunk({"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": {"arguments": ""}}]}),
    chunk({}, "tool_calls"),
)
"""A call without a name: the SDK drops it."""


@pytest.mark.parametrize("odd", [NO_TOOL, NAMELESS], ids=["no call", "a call without a name"])
def test_an_answer_that_wants_tools_and_calls_none_is_tried_again_and_not_for_ever(
    odd: Reply, tmp_path: Path
) -> None:
    async def work() -> None:
        async with rig(tmp_path, odd, says("ok"), odd, tools=Tools) as agent:
            assert (await agent.ask()).json()["result"] == "ok"
            assert len(agent.wire.requests) == 2
            kept = await agent.parts.store.load("s", "-")
            assert [message["role"] for message in kept.messages] == ["user", "assistant"]
            failed = await agent.ask()
            assert (failed.status_code, failed.json()["error_type"]) == (503, "malformed_answer")
            assert len(agent.wire.requests) == 5

    run(work())


@pytest.mark.parametrize("most", [1, 3, 30])
@pytest.mark.parametrize("headers", [{}, {"accept": "text/event-stream"}])
def test_a_model_that_asks_for_tools_for_ever_is_told_so_and_paid_so_often_only(
    tmp_path: Path, most: int, headers: dict[str, str]
) -> None:
    async def work() -> None:
        options = {"agent_max_model_calls": most}
        async with rig(tmp_path, calls_tool("search"), tools=Tools, **options) as agent:
            answer = await agent.ask(**headers)
            assert "too_many_model_calls" in answer.text
            assert headers or answer.status_code == 422
            assert (len(agent.wire.requests), await agent.turns()) == (most, 0)
            agent.wire.replies = [calls_tool("search")] * (most - 1) + [says("found")]
            agent.wire.requests.clear()
            assert "found" in (await agent.ask(**headers)).text
            assert await agent.turns() == 1

    run(work())


def test_a_request_over_its_deadline_is_answered_in_time(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, streamed(chunk({"content": "a"}), None), agent_deadline_s=0.001) as agent:
            answer = await agent.ask()
            assert (answer.status_code, answer.json()["error_type"]) == (504, "deadline")
            assert agent.parts.busy.state.in_flight == 0

    run(work())


def test_a_store_that_is_gone_is_said_and_recovers_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "later"

    async def work() -> None:
        async with rig(folder, says("ok")) as agent:
            lost = await agent.ask()
            assert (lost.status_code, lost.json()["error_type"]) == (503, "session_store")
            assert lost.headers["retry-after"] == "1"
            assert "x-agent-busy" not in lost.headers
            assert (await agent.http.get("/readyz")).status_code == 503
            folder.mkdir()
            assert (await agent.ask()).status_code == 200
            assert (await agent.http.get("/readyz")).status_code == 200

    run(work())


@pytest.mark.parametrize("most", [2, 3, 4, 5])
def test_what_the_model_sees_is_bounded_and_begins_with_a_users_words(most: int) -> None:
    said: Any = [
        {"role": "user", "content": [{"text": "1"}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "n", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "status": "success", "content": []}}]},
        {"role": "assistant", "content": [{"text": "2"}]},
        {"role": "user", "content": [{"text": "3"}]},
        {"role": "assistant", "content": [{"text": "4"}]},
    ]
    kept = recent(said, most)
    assert kept == said[4:]
    assert recent(said, 6) == said
    assert recent(said, 6) is not said
    assert recent([], most) == []


def test_a_long_session_keeps_its_last_turns(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), agent_session_max_messages=4) as agent:
            for number in range(5):
                await agent.ask(f"word-{number}")
            sent = [message["content"] for message in agent.wire.bodies[-1]["messages"]]
            assert "word-1" not in str(sent)
            assert "word-2" in str(sent)
            assert await agent.turns() == 5

    run(work())


def test_what_a_store_holds_is_what_it_was_given(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            turn = Turn(
                request_id="r", messages=[{"role": "user", "content": [{"text": "ä"}]}], answer={"a": 1}
            )
            await agent.parts.store.append("t", 0, turn)
            assert (await agent.ask(session="t", **identity("t", "r"))).json() == {"a": 1}

    run(work())


@tool
def photograph() -> dict[str, Any]:
    """Take a picture."""
    image = {"format": "png", "source": {"bytes": PICTURE}}
    paper = {"format": "pdf", "name": "paper", "source": {"bytes": b"%PDF-1"}}
    return {"status": "success", "content": [{"text": "here"}, {"image": image}, {"document": paper}]}


PICTURE = b"\x89PNG\x00\xff"


def test_a_tool_may_give_bytes_and_the_next_turn_of_the_session_sees_them(tmp_path: Path) -> None:
    async def work() -> None:
        replies = (calls_tool("photograph"), says("a picture"), says("as I said"))
        async with rig(tmp_path, *replies, tools=lambda: Tools(photograph)) as agent:
            first = await agent.ask("show me")
            assert (first.status_code, first.json()["result"]) == (200, "a picture")
            assert (await agent.ask("and what was on it?")).json()["result"] == "as I said"
            for body in agent.wire.bodies[1:]:
                assert base64.b64encode(PICTURE).decode() in json.dumps(body)

    run(work())


def asked(body: dict[str, Any], session: str | None, request: str) -> dict[str, Any]:
    headers = {REQUEST_HEADER: request} | ({SESSION_HEADER: session} if session else {})
    return {"json": body, "headers": headers}


@pytest.mark.parametrize("session", ["s", None])
def test_a_request_id_with_another_body_is_refused(session: str | None, tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("first"), says("second")) as agent:
            post = agent.http.post
            one = await post("/invocations", **asked({"prompt": "hi", "a": 1}, session, "r1"))
            same = await post("/invocations", **asked({"a": 1, "prompt": "hi"}, session, "r1"))
            other = await post("/invocations", **asked({"prompt": "ho", "a": 1}, session, "r1"))
            assert one.json() == same.json()
            assert (other.status_code, other.json()["error_type"]) == (422, "request_id_reused")
            assert len(agent.wire.requests) == 1

    run(work())


def test_a_request_id_without_a_session_is_worked_on_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("first"), says("second")) as agent:
            one = await agent.ask(session=None, **{REQUEST_HEADER: "r1"})
            two = await agent.ask(session=None, **{REQUEST_HEADER: "r1"})
            three = await agent.ask(session=None, **{REQUEST_HEADER: "r2"})
            assert one.json() == two.json()
            assert one.headers[SESSION_HEADER] != three.headers[SESSION_HEADER]
            assert len(agent.wire.requests) == 2

    run(work())


def test_a_request_whose_turn_was_forgotten_is_not_worked_on_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), agent_session_max_messages=2) as agent:
            for number in range(4):
                await agent.ask(f"word-{number}", **{REQUEST_HEADER: f"r{number}"})
            assert (await agent.ask("word-0", **{REQUEST_HEADER: "r0"})).status_code == 200
            assert len(agent.wire.requests) == await agent.turns() == 4

    run(work())


OVERFLOW = refuses(400, "context_length_exceeded", "This model's maximum context length is 8 tokens.")


def test_a_session_that_no_longer_fits_forgets_its_older_half_once_and_says_so(tmp_path: Path) -> None:
    async def work() -> None:
        replies = [says("ok")] * 6
        async with rig(tmp_path, *replies, OVERFLOW, says("short"), says("again")) as agent:
            for number in range(6):
                await agent.ask(f"word-{number}")
            answer = await agent.ask("hi")
            assert answer.json() == {
                "result": "short",
                "session_id": "s",
                "metadata": {"messages_forgotten": 6},
            }
            assert "word-5" in str(agent.wire.bodies[-1])
            assert "word-2" not in str(agent.wire.bodies[-1])
            after = await agent.ask("and now?")
            assert after.json() == {"result": "again", "session_id": "s"}
            assert "word-2" not in str(agent.wire.bodies[-1])
            assert "'hi'" in str(agent.wire.bodies[-1])
            assert len(agent.wire.requests) == 9

    run(work())


def test_a_prompt_that_does_not_fit_by_itself_is_refused_and_the_session_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok"), OVERFLOW, OVERFLOW, says("ok")) as agent:
            await agent.ask("word-0")
            refused = await agent.ask("far too long")
            assert (refused.status_code, refused.json()["error_type"]) == (413, "context_length_exceeded")
            assert len(agent.wire.requests) == 3
            assert (await agent.ask("hi")).status_code == 200

    run(work())


def test_an_answer_that_was_cut_is_told_as_that(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("half of", finish="length"), says("ok")) as agent:
            cut = await agent.ask("tell me all")
            assert (cut.status_code, cut.json()["error_type"]) == (502, "max_tokens")
            assert "was cut" in cut.json()["error"]
            assert (await agent.ask("hi")).status_code == 200

    run(work())


class HangingTools(Tools):
    """A session that no longer answers, and is asked whether it does."""

    def __init__(self) -> None:
        super().__init__(hangs)
        self.asked = asyncio.Event()

    async def alive(self) -> bool:
        self.asked.set()
        await asyncio.Event().wait()
        return False


@tool
async def hangs() -> str:
    """Hang."""
    await asyncio.Event().wait()
    return "never"


def test_an_answer_waits_for_no_look_at_the_tools(tmp_path: Path) -> None:
    async def work() -> None:
        replies = calls_tool("no_such_tool"), says("sorry")
        async with rig(tmp_path, *replies, tools=HangingTools) as agent:
            assert (await agent.ask()).status_code == 200
            assert await agent.turns() == 1
            await agent.sessions[0].asked.wait()  # type: ignore[attr-defined]  # of HangingTools

    run(work())


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_tool_that_hangs_is_looked_at_when_its_request_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, hangs_up: bool
) -> None:
    limits = deadlines(monkeypatch)

    async def work() -> None:
        async with rig(tmp_path, calls_tool("hangs"), says("ok"), tools=HangingTools) as agent:
            exchange = Exchange(agent.app).begin()
            while not agent.wire.requests:  # noqa: ASYNC110 - the tool has no event to wait for
                await asyncio.sleep(0)
            for _ in range(200):
                await asyncio.sleep(0)
            if hangs_up:
                exchange.gone.set()
            else:
                limits[0].reschedule(asyncio.get_running_loop().time())
            await exchange.ended()
            assert exchange.status == (499 if hangs_up else 504)
            assert agent.parts.busy.state.in_flight == 0
            await agent.sessions[0].asked.wait()  # type: ignore[attr-defined]  # of HangingTools

    run(work())


@pytest.mark.parametrize("required", [True, False])
def test_without_its_tool_server_it_answers_only_where_it_may_and_says_so(
    tmp_path: Path, *, required: bool
) -> None:
    def unreachable() -> Tools:
        raise ConnectionError

    async def work() -> None:
        async with rig(tmp_path, says("ok"), tools=unreachable, agent_tools_required=required) as agent:
            answer = await agent.ask()
            ping = (await agent.http.get("/ping")).json()["status"]
            ready = (await agent.http.get("/readyz")).json()
            if required:
                assert (answer.status_code, answer.json()["error_type"]) == (503, "client_unavailable")
                assert answer.headers["x-agent-busy"] == "1"
                assert (ping, ready["reason"]) == ("HealthyBusy", "the mcp client can't be built")
            else:
                assert answer.json()["metadata"] == {"tools": "unavailable"}
                assert (ping, ready["reason"]) == ("Healthy", None)

    run(work())


@pytest.mark.parametrize("name", DEADLINE_HEADERS)
def test_the_callers_own_limit_counts_where_it_is_shorter(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = deadlines(monkeypatch)

    async def work() -> None:
        async with rig(tmp_path, says("ok"), agent_deadline_s=60.0) as agent:
            begun_s = asyncio.get_running_loop().time()
            for value in ("30000", "3600000"):
                assert (await agent.ask(**{name: value})).status_code == 200
            mine, agents = (float(limit.when() or 0) - begun_s for limit in limits)
            assert 30 <= mine < 60 <= agents
            for value in ("", "0", "-1", "soon", "1.5"):
                assert (await agent.ask(**{name: value})).status_code == 400

    run(work())


def test_a_retry_has_no_more_time_than_the_caller(tmp_path: Path) -> None:
    async def work() -> None:
        busy = refuses(429, "rate_limit_exceeded", retry_after="30")
        async with rig(tmp_path, busy, says("ok")) as agent:
            answer = await agent.ask(**{DEADLINE_HEADERS[0]: "20000"})
            assert (answer.status_code, answer.json()["error_type"]) == (504, "deadline")
            assert answer.headers["retry-after"] == "30"

    run(work())


def test_a_deleted_session_is_forgotten(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path, says("ok")) as agent:
            await agent.ask("my name is Ada", session="a/b")
            assert (await agent.http.delete("/sessions/a/b")).status_code == 204
            assert (await agent.http.delete("/sessions/a/b")).status_code == 204
            await agent.ask("who am I?", session="a/b")
            assert "Ada" not in str(agent.wire.bodies[-1])

    run(work())


def test_a_session_that_cannot_be_deleted_is_said(tmp_path: Path) -> None:
    async def work() -> None:
        async with rig(tmp_path / "missing", says("ok")) as agent:
            answer = await agent.http.delete("/sessions/s")
            assert (answer.status_code, answer.json()["error_type"]) == (503, "session_store")

    run(work())
