"""One container, asked before any load: what it says, and where its model calls went."""

import json
from pathlib import Path

import httpx
import pytest

from harness.asking.answer import Answer, Failure
from harness.errors import StartError
from harness.run.direct import DirectAnswer, DirectCaller
from harness.run.trial import Trial, require_call
from harness.under_test import AgentUnderTest, HttpRequest, Opening, RequestShape

AGENT = AgentUnderTest(name="bot", argv=("serve",))


def trial(*calls: str, failure: str = "", **seen: dict[str, int]) -> Trial:
    said = Answer(Failure(failure, None) if failure else None, "OK", (), None)
    return Trial(
        word="CANARY-1",
        turns=(DirectAnswer(status=200, said=said),),
        calls=calls,
        unserved=seen.get("unserved", {}),
        outside=seen.get("outside", {}),
        last_lines=("Traceback", "KeyError: 'x'"),
        log=Path("/logs/agent-1.log"),
    )


def test_one_whose_calls_come_goes_on() -> None:
    require_call(AGENT, trial("openai gpt: ok", outside={"api.example.com:443": 1}))


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (trial(), "it gave HTTP 200; and the model API simulator received no call"),
        (trial(failure="HTTP 500: KeyError"), "it gave HTTP 500: KeyError; and"),
        (trial(unserved={"POST /v1/x for m": 2}), "received 2 calls to POST /v1/x for m, which it does not"),
        (trial(outside={"api.openai.com:443": 3}), "refused was 3 calls to api.openai.com:443"),
    ],
)
def test_one_whose_calls_do_not_come_stops_the_run_with_what_was_seen(seen: Trial, said: str) -> None:
    with pytest.raises(StartError) as error:
        require_call(AGENT, seen)
    assert said in str(error.value)
    assert "KeyError: 'x'" in str(error.value)
    assert "/logs/agent-1.log" in str(error.value)


def test_a_header_may_have_what_the_load_can_send() -> None:
    seen: list[httpx.Request] = []

    def answered(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    shape = RequestShape(headers={"X-Team": "Zo\xeb"})
    with DirectCaller("agent:1", shape, timeout_s=1, transport=httpx.MockTransport(answered)) as caller:
        assert caller.ask("Who?", "s").status == 200
    assert (b"X-Team", b"Zo\xeb") in seen[0].headers.raw


def test_a_container_is_asked_as_its_file_says() -> None:
    seen: list[httpx.Request] = []

    def answered(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.path == "/open":
            return httpx.Response(201, json={"id": "theirs"})
        return httpx.Response(200, json=[{"text": json.loads(request.content)["ask"]["words"]}])

    shape = RequestShape(
        request=HttpRequest(path="/run/{session}", body={"ask": {"words": "{prompt}"}}),
        opening=Opening(request=HttpRequest(path="/open", body={}), session="id"),
        answer="[-1].text",
        session_header="X-Thread",
        headers={"X-More": "1"},
    )
    with DirectCaller("agent:1", shape, timeout_s=1, transport=httpx.MockTransport(answered)) as caller:
        session = caller.open("ours")
        answer = caller.ask('hello "you"', session)
    assert (answer.status, answer.said.failure, answer.said.text) == (200, None, 'hello "you"')
    assert [request.url.path for request in seen] == ["/open", "/run/theirs"]
    assert [request.headers["x-thread"] for request in seen] == ["ours", "theirs"]
    assert seen[1].headers["x-more"] == "1"


def test_one_that_does_not_answer_is_told_as_that() -> None:
    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    transport = httpx.MockTransport(refused)
    with DirectCaller("agent:1", RequestShape(), timeout_s=1, transport=transport) as caller:
        answer = caller.ask("hello", caller.open("s"))
    assert answer.status == 0
    assert answer.said.failure is not None
    assert "ConnectError: refused" in answer.said.failure.error
