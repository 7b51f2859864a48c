import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from harness.clock import FakeClock
from harness.commands.main import call
from harness.conform.busy import BurstResult, busy_flip
from harness.conform.run import conform
from harness.conform.target import ConformFinding, ContractAnswer, ContractTarget
from harness.errors import ExitCode, InputError, StartError
from harness.records.outcome import Outcome
from harness.under_test import HttpRequest, RequestShape
from tests.harness.conform.containers import Container, target_of


def examine(*, late_s: float = 0.0, **faults: Any) -> tuple[Outcome, dict[str, ConformFinding]]:
    found: list[ConformFinding] = []
    target = target_of(Container(FakeClock(), **faults), late_s=late_s)
    verdict = asyncio.run(conform(target, 16, found.append))
    return verdict, {finding.id: finding for finding in found}


def test_a_good_container_holds_every_check() -> None:
    verdict, findings = examine()
    assert {
        finding.id: finding.message for finding in findings.values() if finding.verdict != Outcome.PASS
    } == {}
    assert verdict is Outcome.PASS
    assert len(findings) == 13


@pytest.mark.parametrize(
    ("fault", "check", "advice"),
    [
        ({"stamp": "now"}, "ping-shape", "whole Unix seconds"),
        ({"stamp": None, "stamp_at_poll": True}, "ping-stamp", "Stamp the change"),
        ({"stamp": 1_700_000_000_000}, "ping-shape", "not ms"),
        ({"never_given_back": True}, "busy-flip", "was not given back"),
        ({"ping_s": 1.2}, "ping-under-load", "blocks the event loop"),
        ({"crashes_on_bad_body": True}, "bad-bodies", "answer 400"),
        ({"shared_memory": True}, "session-isolation", "Build the Agent anew"),
        ({"shared_when_overlapping": True}, "session-isolation", "Build the Agent anew"),
        ({"same_session": True}, "sessions-minted", "Draw an id for each"),
    ],
)
def test_a_fault_is_named_with_what_to_do(fault: dict[str, Any], check: str, advice: str) -> None:
    verdict, findings = examine(**fault)
    assert findings[check].verdict is Outcome.FAIL
    assert advice in findings[check].message
    assert verdict is Outcome.FAIL


@pytest.mark.parametrize("always_healthy", [False, True])
def test_a_limit_above_what_is_sent_is_not_known_to_be_told(*, always_healthy: bool) -> None:
    _, findings = examine(limit=17, always_healthy=always_healthy)
    assert findings["busy-flip"].verdict is Outcome.UNKNOWN
    assert "16 requests at once were all taken" in findings["busy-flip"].message
    assert "Raise --concurrency" in findings["busy-flip"].message
    assert findings["busy-stamp"].verdict is Outcome.UNKNOWN


def test_an_agent_that_breaks_at_what_it_never_told_of_is_found() -> None:
    answers = (ContractAnswer(status=500, headers={}, text="busy", seconds=0.1),)
    burst = BurstResult(sent=1, answers=answers, pings=((1.0, "Healthy", 1),), slowest_ping_s=0.0)
    assert busy_flip(burst).verdict is Outcome.FAIL
    assert "500 'busy'" in busy_flip(burst).message


@pytest.mark.parametrize(
    ("fault", "check", "advice"),
    [
        ({"always_healthy": True}, "busy-flip", "Say HealthyBusy while no slot is free"),
        ({"refuses_with_body": True}, "at-the-limit", "a body"),
        ({"refusal_s": 0.4}, "at-the-limit", "refuse before any work"),
        ({"refuses_without_hints": True}, "at-the-limit", "no Retry-After"),
        ({"echoes_session": False}, "session-header", "Echo it"),
    ],
)
def test_what_the_contract_does_not_demand_is_advice_and_decides_nothing(
    fault: dict[str, Any], check: str, advice: str
) -> None:
    verdict, findings = examine(**fault)
    assert findings[check].verdict is Outcome.FAIL
    assert findings[check].advice
    assert advice in findings[check].message
    assert verdict is not Outcome.FAIL


def test_on_a_machine_that_is_slow_to_all_a_refusal_may_take_as_long_as_a_ping_more() -> None:
    _, findings = examine(refusal_s=0.4, ping_s=0.3)
    assert findings["at-the-limit"].verdict is Outcome.PASS


def test_on_a_machine_that_is_late_itself_a_slow_ping_tells_nothing() -> None:
    verdict, findings = examine(ping_s=1.2, late_s=0.4)
    assert findings["ping-under-load"].verdict is Outcome.UNKNOWN
    assert "this machine is busy" in findings["ping-under-load"].message
    assert verdict is Outcome.UNKNOWN


def test_a_stamp_may_lie_anywhere_between_the_polls_that_saw_the_change() -> None:
    _, findings = examine(late_s=4.0)
    assert findings["busy-stamp"].verdict is Outcome.PASS


def test_a_container_that_queues_is_unknown_at_the_limit_not_wrong() -> None:
    _, findings = examine(queues=True)
    assert findings["at-the-limit"].verdict is Outcome.UNKNOWN
    assert findings["busy-flip"].verdict is Outcome.PASS


def test_a_container_that_answers_in_json_only_conforms() -> None:
    verdict, findings = examine(streams=False)
    assert findings["sse-shape"].verdict is Outcome.NOT_MADE
    assert "Stream events" in findings["sse-shape"].message
    assert verdict is Outcome.PASS


def test_a_container_that_forgets_gives_no_proof_of_isolation() -> None:
    verdict, findings = examine(forgetful=True)
    assert findings["session-memory"].verdict is Outcome.UNKNOWN
    assert findings["session-isolation"].verdict is Outcome.UNKNOWN
    assert verdict is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "body",
    [
        b'{"status": [], "time_of_last_update": 1}',
        b'{"status": "Healthy", "time_of_last_update": 1' + b"0" * 400 + b"}",
        b"[" * 100_000,
        b"\xff\xfe",
        b'"\\ud800"',
        b"1e999",
    ],
)
@pytest.mark.parametrize("charset", ["hex", "idna", "utf-7", "nonsense", "\0"])
def test_an_odd_answer_falls_short_and_nothing_raises(body: bytes, charset: str) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        kind = {"content-type": f"application/json; charset={charset}"}
        return httpx.Response(200, headers=kind, stream=httpx.ByteStream(body))

    async def no_sleep(_: float) -> None:
        clock.advance(1.0)
        await asyncio.sleep(0)

    clock = FakeClock()
    http = httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://agent")
    target = ContractTarget(http=http, sleep=no_sleep, now=clock.now, monotonic=clock.monotonic)
    assert asyncio.run(conform(target, 4, lambda _: None)) is Outcome.FAIL


def looked_at(answered: Callable[[httpx.Request], httpx.Response], shape: RequestShape) -> list[str]:
    """Return the checks that were made of something else than an agent."""

    async def no_sleep(_: float) -> None:
        await asyncio.sleep(0)

    clock, found = FakeClock(), []
    http = httpx.AsyncClient(transport=httpx.MockTransport(answered), base_url="http://agent")
    target = ContractTarget(http=http, shape=shape, sleep=no_sleep, now=clock.now, monotonic=clock.monotonic)
    asyncio.run(conform(target, 4, found.append))
    return [finding.id for finding in found]


def test_a_container_that_is_not_there_is_one_line() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with pytest.raises(
        StartError, match=r"http://agent: nobody answers \(ConnectError: connection refused\)"
    ):
        looked_at(refuse, RequestShape())


def test_an_address_of_something_else_is_one_line() -> None:
    with pytest.raises(InputError, match="answers 404 to GET /ping and to POST /invocations"):
        looked_at(lambda _: httpx.Response(404, stream=httpx.ByteStream(b"Not here")), RequestShape())


def test_a_container_is_asked_as_its_shape_says() -> None:
    asked: list[httpx.Request] = []

    def answered(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b'{"status": "Healthy"}'))

    request = HttpRequest(path="/chat", body={"ask": {"words": "{prompt}"}, "thread": "{session}"})
    looked_at(answered, RequestShape(request=request, headers={"Authorization": "Bearer t\xeb"}))
    posts = [each for each in asked if each.method == "POST"]
    assert {each.url.path for each in posts} == {"/chat"}
    assert {each.headers["authorization"] for each in posts} == {"Bearer t\xeb"}
    told = json.loads(posts[0].content)
    assert told["ask"]["words"] == "Name one colour."
    assert told["thread"] == posts[0].headers["x-amzn-bedrock-agentcore-runtime-session-id"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["conform", "http://127.0.0.1:1", "--path", "chat"], "--path chat"),
        (["conform", "http://127.0.0.1:1", "--header", "nothing"], "NAME:VALUE"),
        (["conform", "127.0.0.1:1"], "such as http://127.0.0.1:8080"),
    ],
)
def test_words_that_are_wrong_are_told(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(args) == ExitCode.BAD_INPUT
    assert said in capsys.readouterr().err


def test_who_tells_no_session_shows_nothing_of_those_it_makes() -> None:
    _, findings = examine(echoes_session=False)
    assert findings["sessions-minted"].verdict is Outcome.NOT_MADE
