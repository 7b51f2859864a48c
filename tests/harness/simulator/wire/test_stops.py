"""A sequence that the caller names ends an answer's text, and is not part of it."""

import json
from typing import Any

import pytest

from harness.simulator.model_text import stopped
from harness.simulator.wire.protocol import BadRequestError
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.asgi import Api
from tests.harness.simulator.wire.test_bedrock_converse import frames
from tests.harness.simulator.wire.test_bedrock_invoke import events as invoked
from tests.harness.simulator.wires import answered, body, call, path

STOPPING = ("openai", "azure", "anthropic", "bedrock", "bedrock-invoke", "gemini")
ENDS = {
    "openai": ("stop", None),
    "azure": ("stop", None),
    "anthropic": ("stop_sequence", True),
    "bedrock": ("stop_sequence", None),
    "bedrock-invoke": ("stop_sequence", True),
    "gemini": ("STOP", None),
}
"""How it is said that a sequence ended an answer, and whether that is named."""
MOST = {"openai": 4, "gemini": 5, "anthropic": 8191, "bedrock": 2500}


def stopping(protocol: str, stops: Any) -> dict[str, Any]:
    match protocol:
        case "bedrock":
            return {"inferenceConfig": {"stopSequences": stops}}
        case "gemini":
            return {"generationConfig": {"stopSequences": stops}}
        case "openai" | "azure":
            return {"stop": stops}
    return {"stop_sequences": stops}


def said(protocol: str, told: dict[str, Any]) -> tuple[str, str | None, str | None, int]:
    """Text, how it ends, the sequence that ended it, and tokens of an answer."""
    match protocol:
        case "openai" | "azure":
            (choice,) = told["choices"]
            used = told["usage"]["completion_tokens"]
            return choice["message"]["content"], choice["finish_reason"], None, used
        case "bedrock":
            (block,) = told["output"]["message"]["content"]
            return block["text"], told["stopReason"], None, told["usage"]["outputTokens"]
        case "gemini":
            (one,) = told["candidates"]
            text = "".join(part["text"] for part in one["content"]["parts"])
            return text, one["finishReason"], None, told["usageMetadata"]["candidatesTokenCount"]
    text = "".join(block["text"] for block in told["content"])
    return text, told["stop_reason"], told["stop_sequence"], told["usage"]["output_tokens"]


def cut(whole: str) -> tuple[str, str, str]:
    """Its first two words, the two that come then, and all further ones."""
    words = whole.split()
    begun, stop = " ".join(words[:2]), " " + " ".join(words[2:4])
    assert whole.index(stop) == len(begun)
    return begun, stop, " ".join(words[4:])


def ask(protocol: str, **more: Any) -> tuple[str, str | None, str | None, int]:
    answer = Api().ask("POST", path(protocol), content=body(protocol, **more))
    assert answer.status_code == 200, answer.text
    return said(protocol, answer.json())


@pytest.mark.parametrize("protocol", STOPPING)
def test_an_answer_ends_before_the_sequence_that_comes_first(protocol: str) -> None:
    whole, _, named, tokens = ask(protocol)
    assert (named, tokens) == (None, 8)
    begun, stop, later = cut(whole)
    end, names = ENDS[protocol]
    stops = ["not said", later, stop]
    assert ask(protocol, **stopping(protocol, stops)) == (begun, end, stop if names else None, 4)
    assert ask(protocol, **stopping(protocol, ["not said"]))[::3] == (whole, 8)


def test_one_sequence_may_be_a_text_for_openai() -> None:
    whole = ask("openai")[0]
    begun, stop, _ = cut(whole)
    assert ask("openai", stop=stop)[0] == begun


@pytest.mark.parametrize("protocol", STOPPING)
def test_a_stream_says_the_same(protocol: str) -> None:
    whole, *_ = ask(protocol)
    begun, stop, _ = cut(whole)
    asked = call(protocol=protocol, stream=True, **stopping(protocol, [stop]))
    chunks = asked.wire.chunks(answered(asked))
    end, names = ENDS[protocol]
    told = b"".join(chunks)
    assert len(chunks) == 5
    match protocol:
        case "bedrock":
            events = [(frame.headers[":event-type"], json.loads(frame.payload)) for frame in frames(told)]
            text = "".join(e["delta"]["text"] for kind, e in events if kind == "contentBlockDelta")
            (stopped_by,) = [event for kind, event in events if kind == "messageStop"]
            assert (text, stopped_by) == (begun, {"stopReason": end})
            return
        case "bedrock-invoke":
            lines = invoked(chunks)
        case _:
            data = [line[6:] for line in told.decode().splitlines() if line.startswith("data: ")]
            lines = [json.loads(line) for line in data if line != "[DONE]"]
    match protocol:
        case "openai" | "azure":
            choices = [choice for line in lines for choice in line["choices"]]
            assert "".join(choice["delta"].get("content", "") for choice in choices) == begun
            assert choices[-1]["finish_reason"] == end
        case "gemini":
            parts = [part for line in lines for part in line["candidates"][0]["content"]["parts"]]
            assert "".join(part["text"] for part in parts) == begun
            assert lines[-1]["candidates"][0]["finishReason"] == end
        case _:
            assert "".join(line["delta"].get("text", "") for line in lines if "delta" in line) == begun
            (delta,) = [line["delta"] for line in lines if line["type"] == "message_delta"]
            assert delta == {"stop_reason": end, "stop_sequence": stop if names else None}


def test_what_is_not_said_takes_no_time() -> None:
    latency = {"ttft": {"median_s": 1.0}, "itl": {"median_s": 0.5}}
    api = Api(SimulatorConfig.model_validate({"latency": latency}))
    whole = api.ask("POST", path("openai"), content=body("openai")).json()
    assert api.clock.monotonic() == pytest.approx(1.0 + 7 * 0.5)
    _, stop, _ = cut(said("openai", whole)[0])
    again = Api(SimulatorConfig.model_validate({"latency": latency}))
    again.ask("POST", path("openai"), content=body("openai", stop=stop))
    assert again.clock.monotonic() == pytest.approx(1.0 + 3 * 0.5)


def test_a_limit_that_comes_before_the_sequence_is_what_ends_it() -> None:
    whole, *_ = ask("anthropic")
    limited = ask("anthropic", max_tokens=2, stop_sequences=[cut(whole)[1]])
    assert limited[1:] == ("max_tokens", None, 2)


@pytest.mark.parametrize(
    ("stops", "kept", "by"),
    [
        (["b c"], [" a", " ", ""], "b c"),
        (["c", "b c"], [" a", " ", ""], "b c"),
        (["d", "c d", " d"], [" a", " b", " ", ""], "c d"),
        ([" a"], [""], " a"),
        (["", "d"], [" a", " b", " c", " "], "d"),
    ],
)
def test_the_piece_that_completes_it_is_the_last(stops: list[str], kept: list[str], by: str) -> None:
    found = stopped([" a", " b", " c", " d"], stops)
    assert found is not None
    assert found == (kept, by)


def test_what_is_never_said_stops_nothing() -> None:
    assert stopped(["a", "b"], ["c", ""]) is None


@pytest.mark.parametrize("protocol", STOPPING)
@pytest.mark.parametrize("stops", [7, False, [7], {}, {"a": 1}])
def test_what_are_no_sequences_is_refused(protocol: str, stops: Any) -> None:
    with pytest.raises(BadRequestError):
        call(protocol=protocol, **stopping(protocol, stops))


@pytest.mark.parametrize(("protocol", "most"), MOST.items())
def test_so_many_are_taken_and_no_more(protocol: str, most: int) -> None:
    assert len(call(protocol=protocol, **stopping(protocol, ["x"] * most)).request.stops) == most
    with pytest.raises(BadRequestError, match="array too long"):
        call(protocol=protocol, **stopping(protocol, ["x"] * (most + 1)))


@pytest.mark.parametrize(
    ("protocol", "stop", "what"),
    [
        ("anthropic", "\n", "must contain non-whitespace"),
        ("bedrock-invoke", " ", "must contain non-whitespace"),
        ("bedrock", "", "length greater than or equal to 1"),
    ],
)
def test_sequences_that_the_real_one_refuses_are_refused(protocol: str, stop: str, what: str) -> None:
    with pytest.raises(BadRequestError, match=what):
        call(protocol=protocol, **stopping(protocol, ["x", stop]))


@pytest.mark.parametrize("protocol", STOPPING)
def test_a_filter_is_no_sequence(protocol: str) -> None:
    whole, *_ = ask(protocol)
    api = Api(SimulatorConfig.model_validate({"faults": [{"kind": "content_filter_200"}]}))
    content = body(protocol, **stopping(protocol, [cut(whole)[1]]))
    _, end, named, _ = said(protocol, api.ask("POST", path(protocol), content=content).json())
    assert end != ENDS[protocol][0]
    assert named is None
