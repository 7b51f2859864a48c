import json
from typing import Any

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from harness.simulator.wire import event_stream
from harness.simulator.wire.bedrock_converse import BedrockConverse
from harness.simulator.wire.protocol import WireProblem
from harness.simulator_config import RetryAfterForm, SimulatorConfig
from tests.harness.simulator.wires import WIRES, answered, body, call

WIRE = BedrockConverse()
TOOLS = {"tools": [{"toolSpec": {"name": "search", "inputSchema": {"json": {}}}}]}
CALLS_TOOL = SimulatorConfig(tool_turns=1)


def frames(written: bytes) -> list[Any]:
    buffer = EventStreamBuffer()
    buffer.add_data(written)
    return list(buffer)


def events(chunks: list[bytes]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (frame.headers[":event-type"], json.loads(frame.payload))
        for frame in frames(b"".join(chunks))
        if frame.headers[":message-type"] == "event"
    ]


@given(
    st.dictionaries(st.text("abc:-", min_size=1, max_size=9), st.text(max_size=20)), st.binary(max_size=99)
)
def test_botocore_reads_the_frames_that_are_written(headers: dict[str, str], payload: bytes) -> None:
    (frame,) = frames(event_stream.frame(event_stream.headers(headers), payload))
    assert (frame.headers, frame.payload) == (headers, payload)


def test_a_broken_frame_has_a_wrong_checksum() -> None:
    with pytest.raises(ChecksumMismatch):
        frames(WIRE.broken_event())


def test_a_stream_has_the_events_in_their_order() -> None:
    answer = answered(call(protocol="bedrock", stream=True))
    told = events(WIRE.chunks(answer))
    assert [name for name, _ in told] == [
        "messageStart",
        *["contentBlockDelta"] * 8,
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert "".join(payload["delta"]["text"] for _, payload in told[1:9]) == answer.text
    assert told[-1][1]["usage"] == {"inputTokens": 1, "outputTokens": 8, "totalTokens": 9}


def test_an_error_inside_a_stream_is_an_exception() -> None:
    written = WIRE.error_event(WireProblem(status=429, type="ThrottlingException", message="Slow."))
    (frame,) = frames(written)
    assert frame.headers[":message-type"] == "exception"
    assert frame.headers[":exception-type"] == "throttlingException"
    assert json.loads(frame.payload) == {"message": "Slow."}


def test_the_tool_is_called_and_its_result_is_a_block_of_the_user() -> None:
    first = json.loads(WIRE.whole(answered(call(protocol="bedrock", toolConfig=TOOLS), CALLS_TOOL)))
    assert first["stopReason"] == "tool_use"
    (block,) = first["output"]["message"]["content"]
    result = {"toolResult": {"toolUseId": block["toolUse"]["toolUseId"], "content": [{"text": "a fact"}]}}
    messages = [
        {"role": "user", "content": [{"text": "hello"}]},
        first["output"]["message"],
        {"role": "user", "content": [result]},
    ]
    second = call(protocol="bedrock", toolConfig=TOOLS, messages=messages)
    assert (second.request.question, second.request.tool_results) == ("hello", 1)
    assert json.loads(WIRE.whole(answered(second, CALLS_TOOL)))["stopReason"] == "end_turn"


def test_a_streamed_tool_call_begins_with_a_block() -> None:
    told = events(WIRE.chunks(answered(call(protocol="bedrock", stream=True, toolConfig=TOOLS), CALLS_TOOL)))
    assert told[1][0] == "contentBlockStart"
    assert told[1][1]["start"]["toolUse"]["name"] == "search"
    pieces = [told["delta"]["toolUse"]["input"] for name, told in told if name == "contentBlockDelta"]
    assert set(json.loads("".join(pieces))) == {"query"}


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        ("/model/anthropic.claude-x%3A0/converse", "anthropic.claude-x:0", False),
        ("/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aprofile%2Fa/converse-stream",
         "arn:aws:bedrock:us-east-1:1:profile/a", True),
    ],
)  # fmt: skip
def test_the_model_is_in_the_path(path: str, model: str, *, stream: bool) -> None:
    assert isinstance(WIRES.of(path), BedrockConverse)
    asked = WIRE.parse(path, body("bedrock"))
    assert (asked.model, asked.stream) == (model, stream)


@pytest.mark.parametrize("path", ["/model/x/nothing", "/model//converse", "/model/a/b/converse", "/model"])
def test_other_paths_are_none_of_ours(path: str) -> None:
    assert WIRES.of(path) is None


def test_the_key_is_that_of_the_signature_whatever_is_signed() -> None:
    signed = b"AWS4-HMAC-SHA256 Credential=AKID1/20260101/us-east-1/bedrock/aws4_request, Signature=%s"
    assert (
        WIRE.key({b"authorization": signed % b"a"}) == WIRE.key({b"authorization": signed % b"b"}) == "AKID1"
    )
    assert WIRE.key({b"authorization": b"Bearer t"}) == "t"


def test_an_error_has_its_class_in_a_header() -> None:
    headers, told = WIRE.error(WireProblem(status=400, type="ValidationException", message="No."), "r")
    assert dict(headers)[b"x-amzn-errortype"] == b"ValidationException"
    assert json.loads(told) == {"message": "No."}


def test_when_to_come_back_is_told_in_ms_where_botocore_looks() -> None:
    assert WIRE.retry_headers(0.75, RetryAfterForm.EXACT, 0.0) == [(b"x-amz-retry-after", b"750")]
    assert WIRE.retry_headers(0.75, RetryAfterForm.WHOLE, 0.0) == [(b"x-amz-retry-after", b"1000")]
    assert WIRE.retry_headers(None, RetryAfterForm.EXACT, 0.0) == []
