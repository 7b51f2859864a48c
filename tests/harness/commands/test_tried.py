"""What `agentrig doctor` tells of an agent that it tried."""

from pathlib import Path

from harness.asking.answer import Answer, Failure
from harness.clock import FakeClock
from harness.commands.tried import findings, try_and_tell
from harness.run.direct import DirectAnswer
from harness.run.trial import Trial
from harness.under_test import AgentUnderTest

WORD = "CANARY-1"


def turn(*words: str, failure: str = "") -> DirectAnswer:
    said = Answer(Failure(failure, None) if failure else None, f"OK {' '.join(words)}", words, None)
    return DirectAnswer(status=500 if failure else 200, said=said)


def told(
    *turns: DirectAnswer, calls: tuple[str, ...] = ("openai gpt: ok",), **seen: dict[str, int]
) -> dict[str, tuple[bool, str]]:
    trial = Trial(
        word=WORD,
        turns=turns,
        calls=calls,
        unserved=seen.get("unserved", {}),
        outside=seen.get("outside", {}),
        last_lines=(),
        log=Path("/logs/agent-1.log"),
    )
    return {finding.what: (finding.ok, finding.detail) for finding in findings(trial)}


def test_the_answer_the_second_turn_and_the_call_are_shown() -> None:
    seen = told(turn(WORD), turn(WORD))
    assert seen == {
        "answer": (True, f"HTTP 200: OK {WORD}"),
        "session": (True, "its second turn knows what the first one told"),
        "model": (True, "the simulator received openai gpt: ok"),
    }


def test_an_answer_that_is_none_and_a_model_that_is_not_asked_are_missing() -> None:
    seen = told(turn(failure="HTTP 500: KeyError"), turn(failure="HTTP 500: KeyError"), calls=())
    assert [ok for ok, _ in seen.values()] == [False, False, False]
    assert "/logs/agent-1.log" in seen["answer"][1]
    assert "received no call" in seen["model"][1]


def test_a_path_that_is_not_served_and_a_host_that_is_refused_are_named() -> None:
    seen = told(turn(WORD), turn(WORD), calls=(), unserved={"POST /chat/completions for gpt": 1})
    assert not seen["model"][0]
    assert "1 call to POST /chat/completions for gpt, which it does not serve" in seen["model"][1]
    assert (
        "refused: a.example:443" in told(turn(WORD), turn(WORD), outside={"a.example:443": 2})["elsewhere"][1]
    )


def test_what_the_second_turn_does_not_know_is_told_apart_from_what_cannot_be_seen() -> None:
    assert "keeps no session" in told(turn(WORD), turn())["session"][1]
    assert "request.answer" in told(turn(), turn())["session"][1]


def test_containers_whose_model_may_be_real_are_not_asked() -> None:
    (finding,) = try_and_tell(AgentUnderTest(name="x", addresses=("127.0.0.1:1",)), FakeClock())
    assert finding.ok
    assert finding.detail.startswith("not asked")
