import base64
import json
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from harness.simulator.wire.bedrock_invoke import BedrockCountTokens, BedrockInvoke
from harness.simulator.wire.protocol import BadRequestError
from tests.harness.simulator.wires import PATHS, answered, body, call

WIRE = BedrockInvoke()
NOVA = json.dumps({"messages": [{"role": "user", "content": [{"text": "hello"}]}]}).encode()


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
    assert [*events(WIRE.chunks(answer))[-1]] == ["metadata"]


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
