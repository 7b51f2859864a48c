import base64
import json
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from harness.simulator.wire.bedrock_invoke import BedrockCountTokens, BedrockInvoke
from harness.simulator.wire.protocol import BadRequestError
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.asgi import Api
from tests.harness.simulator.wires import PATHS, answered, body, call, path

WIRE = BedrockInvoke()
NOVA = json.dumps({"messages": [{"role": "user", "content": [{"text": "hello"}]}]}).encode()
NOVA_40 = NOVA.replace(b"hello", b"x" * 40)


def events(chunks: list[bytes]) -> list[dict[str, Any]]:
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(chunks))
    return [json.loads(base64.b64decode(json.loads(frame.payload)["bytes"])) for frame in buffer]


def test_a_body_of_anthropics_is_answered_as_a_message_whole_and_streamed() -> None:
    answer = answered(call(protocol="bedrock-invoke", stream=True))
    whole = json.loads(WIRE.whole(answer))
    assert (whole["content"][0]["text"], whole["model"]) == (answer.text, "m")
    told = events(WIRE.chunks(answer))
    assert (told[0]["type"], told[-1]["type"]) == ("message_start", "message_stop")
    assert told[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 8
    assert "".join(each["delta"].get("text", "") for each in told if "delta" in each) == answer.text


def test_a_body_of_novas_is_answered_as_converse_does_it() -> None:
    request = WIRE.parse("/model/m/invoke-with-response-stream", NOVA)
    answer = answered(call(protocol="bedrock-invoke"))
    answer.request = request
    assert request.stream
    assert json.loads(WIRE.whole(answer))["output"]["message"]["content"] == [{"text": answer.text}]
    assert [*events(WIRE.chunks(answer))[-1]] == ["metadata", "amazon-bedrock-invocationMetrics"]


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (b'{"prompt": "hello"}', "anthropic_version"),
        (b'{"anthropic_version": "bedrock-2023-05-31", "messages": []}', "max_tokens"),
    ],
)
def test_other_bodies_are_refused_with_what_is_known(sent: bytes, what: str) -> None:
    with pytest.raises(BadRequestError, match=what):
        WIRE.parse(PATHS["bedrock-invoke"], sent)


def test_tokens_of_either_body_are_counted_alike() -> None:
    told = base64.b64encode(body("bedrock-invoke", "x" * 40)).decode()
    wire, path = BedrockCountTokens(), PATHS["bedrock-count-tokens"]
    by_invoke = wire.parse(path, json.dumps({"input": {"invokeModel": {"body": told}}}).encode())
    by_converse = wire.parse(path, body("bedrock-count-tokens", "x" * 40))
    assert by_invoke.texts == by_converse.texts == ["x" * 40]


def sent(sent_body: bytes, *, stream: bool) -> Any:
    config = {"latency": {"ttft": {"median_s": 0.2}, "itl": {"median_s": 0.1}}}
    return Api(SimulatorConfig.model_validate(config)).ask(
        "POST", path("bedrock-invoke", stream=stream), content=sent_body
    )


@pytest.mark.parametrize("sent_body", [body("bedrock-invoke", "x" * 40), NOVA_40])
def test_the_head_of_a_whole_answer_tells_its_figures_and_the_last_event_of_a_stream(
    sent_body: bytes,
) -> None:
    named = {
        "x-amzn-bedrock-input-token-count": "10",
        "x-amzn-bedrock-output-token-count": "8",
        "x-amzn-bedrock-invocation-latency": "900",
    }
    whole = sent(sent_body, stream=False).headers
    assert {name: whole.get(name) for name in named} == named
    streamed = sent(sent_body, stream=True)
    assert not set(named) & set(streamed.headers)
    assert streamed.headers["x-amzn-bedrock-content-type"] == "application/json"
    assert events([streamed.content])[-1]["amazon-bedrock-invocationMetrics"] == {
        "inputTokenCount": 10,
        "outputTokenCount": 8,
        "invocationLatency": 900,
        "firstByteLatency": 200,
    }


def test_an_error_has_no_figures() -> None:
    config = SimulatorConfig.model_validate({"faults": [{"kind": "overloaded"}]})
    answer = Api(config).ask("POST", PATHS["bedrock-invoke"], content=body("bedrock-invoke"))
    assert answer.status_code == 503
    assert not [name for name in answer.headers if name.startswith("x-amzn-bedrock")]
