import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.simulator.calls import answer_to
from harness.simulator.wire.protocol import BadRequestError, Wire
from harness.simulator_config import SimulatorConfig
from tests.harness.simulator.wires import PATHS, STREAMING, WIRES, body, conversation, path

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    [
        *("messages", "model", "tools", "stream", "max_tokens", "system", "toolConfig", "inferenceConfig"),
        *("stream_options", "content", "role", "text", "function", "toolSpec", "name", "input", "contents"),
        *("parts", "generationConfig", "tool_choice", "response_format", "anthropic_version", "tool_calls"),
        *(
            "n",
            "encoding_format",
            "dimensions",
            "temperature",
            "store",
            "previous_response_id",
            "type",
            "enum",
        ),
        *("toolChoice", "outputConfig", "invokeModel", "converse", "body", "response", "thinking", "stop"),
        *("logprobs", "candidateCount", "systemInstruction", "generateContentRequest", "output_config"),
    ]
)
shaped = st.dictionaries(
    keys,
    st.recursive(
        anything | st.just("user"),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=6,
)
every_wire = pytest.mark.parametrize("wire", WIRES.all, ids=PATHS)
patient = settings(deadline=None)  # the machine may be busy
TALKING = [wire for wire in WIRES.all if wire.name in STREAMING]
every_talk = pytest.mark.parametrize("wire", TALKING, ids=STREAMING)


def read(wire: Wire, sent: bytes) -> bool:
    """Return whether it is a request; one that is has an answer, too."""
    try:
        request = wire.parse(PATHS[wire.name], sent)
    except BadRequestError:
        return False
    for config in (SimulatorConfig(), SimulatorConfig(tool_turns=1)):
        answer = answer_to(request, config)
        assert wire.whole(answer)
        assert len(wire.chunks(answer)) > 1 or request.counts
    return True


@every_wire
@patient
@given(sent=st.binary(max_size=60))
def test_random_bytes_are_no_request(wire: Wire, sent: bytes) -> None:
    assert not read(wire, sent)


@every_wire
@patient
@given(sent=anything | shaped)
def test_random_json_is_read_or_refused_and_nothing_else(wire: Wire, sent: object) -> None:
    read(wire, json.dumps(sent).encode())


@every_wire
def test_nesting_without_end_is_refused(wire: Wire) -> None:
    deep = b"[" * 200_000
    assert not read(wire, deep)
    for levels in (300, 900, 990, 5000):
        nested = b'{"a":' * levels + b"1" + b"}" * levels
        read(wire, b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":%s}]}' % nested)


def limited(wire: Wire, limit: object) -> dict[str, object]:
    if wire.name == "bedrock":
        return {"inferenceConfig": {"maxTokens": limit}}
    if wire.name == "gemini":
        return {"generationConfig": {"maxOutputTokens": limit}}
    return {"max_output_tokens" if wire.name.endswith("-responses") else "max_tokens": limit}


@every_talk
@pytest.mark.parametrize("limit", [0, -1, 2_000_000, "8", 1.5, True])
def test_a_limit_of_tokens_that_makes_no_sense_is_refused(wire: Wire, limit: object) -> None:
    assert read(wire, body(wire.name, **limited(wire, 16)))
    only_reads = limit == 0 and wire.name in {"anthropic", "bedrock-invoke"}
    assert read(wire, body(wire.name, **limited(wire, limit))) is only_reads


@every_talk
def test_a_request_without_messages_is_refused(wire: Wire) -> None:
    assert not read(wire, body(wire.name, **conversation(wire.name)))


@every_talk
def test_a_role_that_there_is_none_of_is_refused(wire: Wire) -> None:
    assert read(wire, body(wire.name, **conversation(wire.name, ("user", "hello"))))
    assert not read(wire, body(wire.name, **conversation(wire.name, ("robot", "hello"))))


@every_talk
def test_a_temperature_that_is_none_is_refused(wire: Wire) -> None:
    within = {"bedrock": "inferenceConfig", "gemini": "generationConfig"}.get(wire.name)
    for temperature, taken in ((0.5, True), (1, True), ("hot", False), (9, False), (True, False)):
        told: dict[str, object] = {"temperature": temperature}
        assert read(wire, body(wire.name, **({within: told} if within else told))) is taken


@pytest.mark.parametrize("wire", TALKING[:2], ids=STREAMING[:2])
@pytest.mark.parametrize("model", ["", "x" * 300, "a\nb", "\ud800", 5, None])
def test_a_model_that_no_log_could_name_is_refused(wire: Wire, model: object) -> None:
    assert not read(wire, body(wire.name, model=model))


@every_talk
def test_a_call_is_the_same_streamed_or_not(wire: Wire) -> None:
    whole = wire.parse(path(wire.name), body(wire.name))
    streamed = wire.parse(path(wire.name, stream=True), body(wire.name, stream=True))
    assert (whole.call_id, whole.stream, streamed.stream) == (streamed.call_id, False, True)


@every_wire
@patient
@given(data=st.data())
def test_a_request_with_one_field_that_is_anything_is_read_or_refused(
    wire: Wire, data: st.DataObject
) -> None:
    name = data.draw(keys)
    read(wire, body(wire.name, **{name: data.draw(anything | shaped)}))
