"""What the official clients make of more than a text: whole streams, heads, arrays, paths of nobody."""

import json
from collections.abc import Iterator
from typing import Any

import botocore.exceptions
import httpx
import openai
import pydantic
import pytest
from google.genai import errors as gemini_errors

from harness.simulator_config import SimulatorConfig
from tests.e2e.asking import HTTP
from tests.e2e.model_clients import (
    anthropic_client,
    azure_client,
    bedrock_client,
    gemini_client,
    openai_client,
)
from tests.e2e.simulating import Running, running

pytestmark = pytest.mark.e2e
QUESTION: Any = [{"role": "user", "content": "hello"}]


class Weather(pydantic.BaseModel):
    """The weather of a city."""

    city: str
    days: int


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as started:
        yield started


@pytest.fixture(autouse=True)
def _as_just_started(server: Running) -> None:
    server.told(SimulatorConfig.model_validate({"tool_turns": 1}))


def test_openais_own_helpers_put_a_stream_together(server: Running) -> None:
    offered: Any = [openai.pydantic_function_tool(Weather, name="weather")]
    with openai_client(server.url) as client:
        with client.responses.stream(model="m", input="hello") as stream:
            assert stream.get_final_response().output_text
        flat: Any = [{"type": "function", "strict": True, **offered[0]["function"]}]
        with client.responses.stream(model="m", input="hello", tools=flat) as stream:
            (call,) = stream.get_final_response().output
        assert call.type == "function_call"
        assert Weather.model_validate_json(call.arguments)
        with client.responses.stream(model="m", input="hello", text_format=Weather) as stream:
            assert isinstance(stream.get_final_response().output_parsed, Weather)
        with client.chat.completions.stream(model="m", messages=QUESTION, tools=offered) as chunks:
            (asked,) = chunks.get_final_completion().choices[0].message.tool_calls or ()
        assert isinstance(asked.function.parsed_arguments, Weather)
        with client.chat.completions.stream(model="m", messages=QUESTION, response_format=Weather) as chunks:
            assert isinstance(chunks.get_final_completion().choices[0].message.parsed, Weather)


def test_anthropics_own_helpers_put_a_stream_together(server: Running) -> None:
    offered: Any = [{"name": "weather", "input_schema": Weather.model_json_schema()}]
    with anthropic_client(server.url) as client:
        asked = {"model": "m", "max_tokens": 64, "messages": QUESTION}
        with client.messages.stream(**asked, tools=offered) as stream:
            final = stream.get_final_message()
        assert final.stop_reason == "tool_use"
        assert Weather.model_validate(final.content[0].input)
        server.told(SimulatorConfig())
        text = client.messages.create(**asked).content[0].text
        server.told(SimulatorConfig())  # else the same prompt is another call, of other words
        stop = " " + " ".join(text.split()[2:4])
        with client.messages.stream(**asked, stop_sequences=[stop]) as stream:
            final = stream.get_final_message()
        assert (final.stop_reason, final.stop_sequence) == ("stop_sequence", stop)
        assert final.content[0].text == text[: text.index(stop)]
        brief = [*QUESTION, {"role": "system", "content": "Be brief."}]
        read_only = client.messages.create(model="m", max_tokens=0, messages=brief)
        assert (read_only.content, read_only.stop_reason) == ([], "max_tokens")


def test_boto_tells_the_figures_of_a_heads_and_of_a_streams_end(server: Running) -> None:
    body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": QUESTION})
    with bedrock_client(server.url) as client:
        whole = client.invoke_model(modelId="m", body=body)
        headers = whole["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-amzn-bedrock-input-token-count"] == "1"
        assert headers["x-amzn-bedrock-output-token-count"] == "8"
        streamed = client.invoke_model_with_response_stream(modelId="m", body=body)
        assert streamed["contentType"] == "application/json"
        *_, last = [json.loads(event["chunk"]["bytes"]) for event in streamed["body"]]
        assert last["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 8


def test_gemini_calls_a_function_by_itself_and_its_chat_goes_on(server: Running) -> None:
    asked: list[str] = []

    def weather(city: str) -> str:
        """Tell the weather of a city."""
        asked.append(city)
        return "rain"

    with gemini_client(server.url) as client:
        chat = client.chats.create(model="m", config={"tools": [weather]})
        assert chat.send_message("hello").text
        assert len(asked) == 1
        told = "".join(
            chunk.text or "" for chunk in client.chats.create(model="m").send_message_stream("hello")
        )
        assert len(told.split()) == 8


def test_a_stream_of_gemini_without_events_is_one_array(server: Running) -> None:
    url = f"{server.url}/v1beta/models/m:streamGenerateContent"
    content = json.dumps({"contents": [{"parts": [{"text": "hello"}]}]})
    with httpx.stream("POST", url, content=content, timeout=30.0) as answer:
        told = json.loads(b"".join(answer.iter_bytes()))
    assert len(told) == 9
    server.told(SimulatorConfig.model_validate({"faults": [{"kind": "overloaded"}]}))
    (alone,) = HTTP.post(url, content=content).json()
    assert alone["error"]["code"] == 503


def test_a_path_of_nobody_is_not_found_to_each_client(server: Running) -> None:
    with openai_client(server.url) as client, pytest.raises(openai.NotFoundError, match="Invalid URL"):
        client.images.generate(model="m", prompt="x")
    with azure_client(server.url) as client, pytest.raises(openai.NotFoundError) as by_azure:
        client.images.generate(model="m", prompt="x")
    assert by_azure.value.code == "404"
    with anthropic_client(server.url) as claude:
        with pytest.raises(Exception, match="Invalid URL") as by_anthropic:
            claude.messages.batches.list()
        raised: Any = by_anthropic.value
        assert (type(raised).__name__, raised.body["error"]["type"]) == ("NotFoundError", "not_found_error")
        assert raised.request_id
    with gemini_client(server.url) as gemini, pytest.raises(gemini_errors.ClientError) as by_gemini:
        gemini.models.embed_content(model="m", contents="x")
    assert (by_gemini.value.code, by_gemini.value.status) == (404, "NOT_FOUND")
    with bedrock_client(server.url) as bedrock, pytest.raises(botocore.exceptions.ClientError) as by_bedrock:
        bedrock.list_async_invokes()
    assert by_bedrock.value.response["Error"]["Code"] == "UnknownOperationException"
    assert "Invalid URL" in by_bedrock.value.response["Error"]["Message"]
