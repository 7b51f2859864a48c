"""What agents do with the simulator, through the providers' own clients: tools, usage, quotas, tokens."""

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any, Literal

import boto3
import httpx
import openai
import pydantic
import pytest
from botocore.config import Config
from strands import Agent, tool
from strands.models.bedrock import BedrockModel
from strands.models.gemini import GeminiModel
from strands.models.openai import OpenAIModel
from strands.models.openai_responses import OpenAIResponsesModel

from harness.simulator_config import SimulatorConfig
from reference_agent.telemetry.redaction import settle_conventions
from tests.e2e.asking import HTTP
from tests.e2e.model_clients import anthropic_client, bedrock_client, gemini_client, invoke_nova, of_bedrock
from tests.e2e.simulating import Running, running
from tests.e2e.this_machine import speed, watched
from tests.e2e.waiting import until

pytestmark = pytest.mark.e2e

settle_conventions(
    words=False
)  # the one tracer that Strands makes in a process is made of what it is told before
QUESTION: Any = [{"role": "user", "content": "hello"}]
AWS = {"region_name": "us-east-1", "aws_access_key_id": "AKTEST", "aws_secret_access_key": "secret"}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as started:
        yield started


@pytest.fixture
def chat(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="sk-test", max_retries=0) as client:
        yield client


def told(server: Running, **config: Any) -> None:
    server.told(SimulatorConfig.model_validate(config))


def decisions(server: Running) -> list[str]:
    return [row.decision for _, row in server.simulator.journal.since(0)]


def test_a_stream_tells_the_usage_when_it_is_asked_for(server: Running, chat: openai.OpenAI) -> None:
    told(server, latency={"tokens": 5})
    options: Any = {"include_usage": True}
    *_, last = chat.chat.completions.create(model="m", messages=QUESTION, stream=True, stream_options=options)
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (1, 5)


def test_a_client_over_quota_is_told_when_to_come_back_and_is_served_then(
    server: Running, chat: openai.OpenAI
) -> None:
    told(server, quota={"rpm": 30, "burst": 1})
    first = chat.chat.completions.with_raw_response.create(model="m", messages=QUESTION)
    assert first.headers["x-ratelimit-limit-requests"] == "30"
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.RateLimitError) as refused:
        chat.chat.completions.create(model="m", messages=QUESTION)
    wait_ms = int(refused.value.response.headers["retry-after-ms"])
    assert 0 < wait_ms <= 2000
    time.sleep(wait_ms / 1e3)
    chat.chat.completions.create(model="m", messages=QUESTION)
    assert decisions(server) == ["ok", "rate_limit_requests", "ok"]


def test_a_client_that_heeds_what_it_is_told_gets_through_with_retries(server: Running) -> None:
    told(server, quota={"rpm": 60, "burst": 1})
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="sk-test", max_retries=3) as client:
        for _ in range(3):
            client.chat.completions.create(model="m", messages=QUESTION)
    assert decisions(server).count("ok") == 3
    assert "rate_limit_requests" in decisions(server)


def test_the_anthropic_client_reads_its_own_quota_headers(server: Running) -> None:
    told(server, quota={"rpm": 60, "burst": 5, "tpm": 6000})
    with anthropic_client(server.url, max_retries=0) as client:
        raw = client.messages.with_raw_response.create(model="m", max_tokens=20, messages=QUESTION)
        assert raw.headers["anthropic-ratelimit-requests-remaining"] == "4"
        assert raw.headers["anthropic-ratelimit-tokens-limit"] == "6000"
        assert raw.request_id is not None


def test_bedrock_reserves_what_the_answer_may_have_until_it_is_there(server: Running) -> None:
    told(
        server,
        quota={"rpm": 6000, "burst": 50, "tpm": 60, "burst_tokens": 500, "reserve_max_tokens": True},
    )
    once = Config(retries={"total_max_attempts": 1})
    client = boto3.client("bedrock-runtime", endpoint_url=server.url, config=once, **AWS)
    asked: Any = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "hello"}]}]}
    for _ in range(3):  # each reserves 401 of 500, and gives 392 back
        client.converse(**asked, inferenceConfig={"maxTokens": 400})
    with pytest.raises(client.exceptions.ThrottlingException, match="Too many tokens"):
        client.converse(**asked, inferenceConfig={"maxTokens": 499})
    client.close()


def test_a_token_is_fetched_used_and_refused_when_it_is_over(server: Running) -> None:
    told(server, auth={"keys": ["s3cret"], "token_lifetime_s": 4.0})
    form = {"grant_type": "client_credentials", "client_id": "a", "client_secret": "s3cret"}
    given = HTTP.post(f"{server.url}/oauth/token", data=form).raise_for_status().json()
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=given["access_token"], max_retries=0) as client:
        client.chat.completions.create(model="m", messages=QUESTION)

        def refused() -> bool:
            try:
                client.chat.completions.create(model="m", messages=QUESTION)
            except openai.AuthenticationError:
                return True
            return False

        until("it over", refused)


@pytest.mark.alone
def test_tokens_come_when_they_are_due(server: Running, chat: openai.OpenAI) -> None:
    told(server, latency={"ttft": {"median_s": 0.2}, "itl": {"median_s": 0.05}, "tokens": 8})
    medians_s = []
    with watched() as machine:
        for _ in range(3):  # the first one also imports what the client needs, and connects
            begun = time.monotonic()
            chunks = chat.chat.completions.create(model="m", messages=QUESTION, stream=True)
            came_s = [time.monotonic() - begun for chunk in chunks if chunk.choices[0].delta.content]
            late_s = [at_s - 0.2 - number * 0.05 for number, at_s in enumerate(came_s)]
            assert len(late_s) == 8
            assert min(late_s) > -0.002
            medians_s.append(sorted(late_s)[4])
    if min(medians_s) >= 0.1:  # a machine makes some of them late, a simulator all
        machine.skip_if_the_cause()
    assert min(medians_s) < 0.1 / speed()


@pytest.mark.parametrize("provider", ["openai", "openai-responses", "anthropic", "bedrock", "gemini"])
def test_an_agent_calls_the_tool_and_then_answers(server: Running, provider: str) -> None:
    told(server, tool_turns=1)
    asked: list[str] = []

    @tool
    def search(query: str) -> str:
        """Search the knowledge base.

        Args:
            query: what to look for.
        """
        asked.append(query)
        return "a fact"

    def anthropic_model() -> Any:
        from strands.models.anthropic import AnthropicModel  # noqa: PLC0415 - as `anthropic_client` does

        return AnthropicModel(
            client_args={"base_url": server.url, "api_key": "k"}, model_id="m", max_tokens=64
        )

    models: dict[str, Any] = {
        "openai": lambda: OpenAIModel(
            client_args={"base_url": f"{server.url}/v1", "api_key": "k"}, model_id="m"
        ),
        "openai-responses": lambda: OpenAIResponsesModel(
            client_args={"base_url": f"{server.url}/v1", "api_key": "k"}, model_id="m"
        ),
        "gemini": lambda: GeminiModel(client=gemini_client(server.url), model_id="m"),
        "anthropic": anthropic_model,
        "bedrock": lambda: BedrockModel(
            boto_session=boto3.Session(**AWS), endpoint_url=server.url, model_id="m"
        ),
    }
    agent = Agent(model=models[provider](), tools=[search], callback_handler=None)
    result = agent("hello")

    assert result.stop_reason == "end_turn"
    assert len(str(result).split()) == 8
    assert len(asked) == 1
    assert [(row.protocol, row.stream) for _, row in server.simulator.journal.since(0)] == [
        (provider, True)
    ] * 2


def test_embeddings_and_models_are_what_the_client_takes_them_for(
    server: Running, chat: openai.OpenAI
) -> None:
    told(server, models=["m", "small"])
    data = chat.embeddings.create(model="small", input=["a", "b"]).data
    assert [(each.index, len(each.embedding)) for each in data] == [(0, 1536), (1, 1536)]
    assert [model.id for model in chat.models.list()] == ["m", "small"]
    with anthropic_client(server.url) as client:
        assert [model.id for model in client.models.list()] == ["m", "small"]
    with gemini_client(server.url) as gemini:
        assert [model.name for model in gemini.models.list()] == ["models/m", "models/small"]
    with pytest.raises(openai.NotFoundError):
        chat.embeddings.create(model="other", input="a")
    assert [row.protocol for _, row in server.simulator.journal.since(0)] == ["openai-embeddings"] * 2


def test_tokens_are_counted_alike_by_every_client(server: Running) -> None:
    told(server)
    text: Any = "x" * 400
    with anthropic_client(server.url) as client:
        messages: Any = [{"role": "user", "content": text}]
        counted = [client.messages.count_tokens(model="m", messages=messages).input_tokens]
    with gemini_client(server.url) as gemini:
        counted.append(gemini.models.count_tokens(model="m", contents=text).total_tokens or 0)
    with bedrock_client(server.url) as bedrock:
        asked = {"messages": [{"role": "user", "content": [{"text": text}]}]}
        counted.append(bedrock.count_tokens(modelId="m", input={"converse": asked})["inputTokens"])
        body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": messages})
        counted.append(
            bedrock.count_tokens(modelId="m", input={"invokeModel": {"body": body}})["inputTokens"]
        )
    assert counted == [100] * 4


def test_a_structured_answer_is_parsed_by_the_clients(server: Running, chat: openai.OpenAI) -> None:
    class Trip(pydantic.BaseModel):
        city: Literal["Kyoto", "Oslo"]
        days: int = pydantic.Field(ge=2)
        tags: list[str]

    told(server)
    parsed = chat.chat.completions.parse(model="m", messages=QUESTION, response_format=Trip)
    assert isinstance(parsed.choices[0].message.parsed, Trip)
    response = chat.responses.parse(model="m", input="hello", text_format=Trip)
    assert isinstance(response.output_parsed, Trip)
    with gemini_client(server.url) as gemini:
        config: Any = {"response_mime_type": "application/json", "response_schema": Trip}
        content = gemini.models.generate_content(model="m", contents="hello", config=config)
        assert isinstance(content.parsed, Trip)


def test_a_response_goes_on_from_another_and_may_be_read_again(server: Running, chat: openai.OpenAI) -> None:
    told(server)
    first = chat.responses.create(model="m", input="Mine is CANARY-a1.")
    second = chat.responses.create(model="m", input="My canary words?", previous_response_id=first.id)
    assert second.output_text == "CANARY-a1"
    assert chat.responses.retrieve(first.id).output_text == first.output_text
    chat.responses.delete(first.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        chat.responses.create(model="m", input="And now?", previous_response_id=first.id)


def test_nova_is_invoked_whole_and_streamed(server: Running) -> None:
    got = []
    for stream in (False, True):
        told(server)
        got.append(of_bedrock(invoke_nova)(server.url, stream=stream))
    assert got[0] == got[1]
    assert (got[0].finish, len(got[0].text.split())) == ("end_turn", 8)


def test_one_prompt_asked_again_and_again_is_many_calls(server: Running, chat: openai.OpenAI) -> None:
    told(server, faults=[{"kind": "overloaded", "probability": 0.3}])
    ids = set()
    for _ in range(40):
        with contextlib.suppress(openai.InternalServerError):
            ids.add(chat.chat.completions.create(model="m", messages=QUESTION).id)
    seen = decisions(server)
    assert 4 <= seen.count("overloaded") <= 22
    assert len(ids) == seen.count("ok")


def test_the_control_api_changes_what_the_next_call_gets(server: Running, chat: openai.OpenAI) -> None:
    told(server)
    with httpx.Client(base_url=server.url) as control:
        rule = {"kind": "overloaded", "times": 1, "match": {"provider": "openai"}}
        control.post("/sim/faults", content=json.dumps(rule), headers={"content-type": "application/json"})
        with pytest.raises(openai.InternalServerError):
            chat.chat.completions.create(model="m", messages=QUESTION)
        chat.chat.completions.create(model="m", messages=QUESTION)
        assert control.get("/sim/stats").json()["decisions"] == {"overloaded": 1, "ok": 1}
        assert [entry["row"]["attempt"] for entry in control.get("/sim/requests").json()] == [1, 2]
