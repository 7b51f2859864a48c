"""The real SDKs of the providers, each called in one and the same way."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.exceptions
import openai
from botocore.config import Config
from google import genai
from google.genai import errors as gemini_errors
from google.genai import types as gemini

from tests.e2e.waiting import DEADLINE_S

MESSAGE = "What is a tail?"
MESSAGES: Any = [{"role": "user", "content": MESSAGE}]
AWS = {"region_name": "us-east-1", "aws_access_key_id": "AKTEST", "aws_secret_access_key": "secret"}


@dataclass(frozen=True)
class Got:
    """What a client made of an answer: an exception's class with status and code, or a text with its end."""

    error: str | None = None
    status: int | None = None
    code: str | int | None = None
    text: str = ""
    finish: str | None = None


Call = Callable[..., Got]


def openai_client(url: str, retries: int = 0, give_up_s: float = DEADLINE_S) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="sk-test", max_retries=retries, timeout=give_up_s)


def azure_client(url: str, retries: int = 0, give_up_s: float = DEADLINE_S) -> openai.OpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=url, api_key="key", api_version="2026-01-01", max_retries=retries, timeout=give_up_s
    )


@contextmanager
def bedrock_client(url: str, retries: int = 0, give_up_s: float = DEADLINE_S) -> Iterator[Any]:
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=url,
        config=Config(
            retries={"total_max_attempts": retries + 1, "mode": "standard"},
            read_timeout=give_up_s,
            connect_timeout=DEADLINE_S,
        ),
        **AWS,
    )
    try:
        yield client
    finally:
        client.close()


def gemini_client(url: str, retries: int = 0, give_up_s: float = DEADLINE_S) -> genai.Client:
    again = gemini.HttpRetryOptions(attempts=retries + 1, initial_delay=0.001, max_delay=0.001, jitter=0)
    return genai.Client(
        api_key="key",
        http_options=gemini.HttpOptions(base_url=url, timeout=round(give_up_s * 1e3), retry_options=again),
    )


def chat(client: openai.OpenAI, *, stream: bool) -> Got:
    if not stream:
        answer = client.chat.completions.create(model="m", messages=MESSAGES)
        if isinstance(answer, str):
            return Got(text=answer)
        choice = answer.choices[0]
        return Got(text=choice.message.content or "", finish=choice.finish_reason)
    text, finish = "", None
    for chunk in client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
        text += chunk.choices[0].delta.content or ""
        finish = chunk.choices[0].finish_reason or finish
    return Got(text=text, finish=finish)


def respond(client: openai.OpenAI, *, stream: bool) -> Got:
    if not stream:
        answer = client.responses.create(model="m", input=MESSAGE)
        if isinstance(answer, str):
            return Got(text=answer)
        return Got(text=answer.output_text, finish=_end(answer))
    text, finish, code = "", None, None
    for event in client.responses.create(model="m", input=MESSAGE, stream=True):
        if event.type == "response.output_text.delta":
            text += event.delta
        elif event.type == "error":  # an event like any other to the client
            finish, code = event.type, event.code
        elif event.type in {"response.completed", "response.incomplete"}:
            finish = _end(event.response)
        elif event.type == "response.failed" and event.response.error:
            finish, code = event.response.status, event.response.error.code
    return Got(text=text, finish=finish, code=code)


def _end(answer: Any) -> str | None:
    reason = answer.incomplete_details.reason if answer.incomplete_details else None
    return reason or answer.status


def of_openai(make: Callable[..., openai.OpenAI], ask: Call) -> Call:
    def call(url: str, *, stream: bool, retries: int = 0, give_up_s: float = DEADLINE_S) -> Got:
        with make(url, retries, give_up_s) as client:
            try:
                return ask(client, stream=stream)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test looks at
                return Got(
                    error=_name(error),
                    status=getattr(error, "status_code", None),
                    code=getattr(error, "code", None),
                )

    return call


def anthropic_client(url: str, **options: Any) -> Any:
    # Of 3,000 modules, which every worker would load to know the names of the tests.
    import anthropic  # noqa: PLC0415 - see above

    return anthropic.Anthropic(base_url=url, api_key="k", **options)


def anthropic_call(url: str, *, stream: bool, retries: int = 0, give_up_s: float = DEADLINE_S) -> Got:
    with anthropic_client(url, max_retries=retries, timeout=give_up_s) as client:
        try:
            if not stream:
                answer = client.messages.create(model="m", max_tokens=64, messages=MESSAGES)
                if isinstance(answer, str):
                    return Got(text=answer)
                return Got(text="".join(b.text for b in answer.content), finish=answer.stop_reason)
            text, finish = "", None
            for event in client.messages.create(model="m", max_tokens=64, messages=MESSAGES, stream=True):
                if event.type == "content_block_delta":
                    text += event.delta.text
                if event.type == "message_delta":
                    finish = event.delta.stop_reason
            return Got(text=text, finish=finish)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test looks at
            body = getattr(error, "body", None)
            code = body.get("error", {}).get("type") if isinstance(body, dict) else None
            return Got(error=_name(error), status=getattr(error, "status_code", None), code=code)


def converse(client: Any, *, stream: bool) -> Got:
    asked: Any = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": MESSAGE}]}]}
    if not stream:
        answer = client.converse(**asked)
        text = answer["output"]["message"]["content"][0]["text"] if "output" in answer else ""
        return Got(text=text, finish=answer.get("stopReason"))
    return _converse_events(client.converse_stream(**asked)["stream"])


def _converse_events(events: Iterable[Any]) -> Got:
    text, finish = "", None
    for event in events:
        text += event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
        finish = event.get("messageStop", {}).get("stopReason", finish)
    return Got(text=text, finish=finish)


def invoke(client: Any, *, stream: bool) -> Got:
    """With the body of Anthropic's models."""
    body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": MESSAGES})
    if not stream:
        answer = json.loads(client.invoke_model(modelId="m", body=body)["body"].read())
        return Got(text="".join(b["text"] for b in answer["content"]), finish=answer["stop_reason"])
    text, finish = "", None
    for event in client.invoke_model_with_response_stream(modelId="m", body=body)["body"]:
        told = json.loads(event["chunk"]["bytes"])
        text += told.get("delta", {}).get("text", "")
        finish = told.get("delta", {}).get("stop_reason", finish)
    return Got(text=text, finish=finish)


def invoke_nova(client: Any, *, stream: bool) -> Got:
    """With the body of Nova's models."""
    messages = [{"role": "user", "content": [{"text": MESSAGE}]}]
    body = json.dumps({"schemaVersion": "messages-v1", "messages": messages})
    if not stream:
        answer = json.loads(client.invoke_model(modelId="m", body=body)["body"].read())
        return Got(text=answer["output"]["message"]["content"][0]["text"], finish=answer["stopReason"])
    chunks = client.invoke_model_with_response_stream(modelId="m", body=body)["body"]
    return _converse_events(json.loads(event["chunk"]["bytes"]) for event in chunks)


def of_bedrock(ask: Call) -> Call:
    def call(url: str, *, stream: bool, retries: int = 0, give_up_s: float = DEADLINE_S) -> Got:
        with bedrock_client(url, retries, give_up_s) as client:
            try:
                return ask(client, stream=stream)
            except botocore.exceptions.ClientError as error:
                told = error.response
                status = told.get("ResponseMetadata", {}).get("HTTPStatusCode")
                return Got(error=_name(error), status=status, code=told["Error"]["Code"])
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test looks at
                return Got(error=_name(error))

    return call


def gemini_call(url: str, *, stream: bool, retries: int = 0, give_up_s: float = DEADLINE_S) -> Got:
    with gemini_client(url, retries, give_up_s) as client:
        try:
            if not stream:
                answers = [client.models.generate_content(model="m", contents=MESSAGE)]
            else:
                answers = client.models.generate_content_stream(model="m", contents=MESSAGE)
            text, finish = "", None
            for answer in answers:
                text += answer.text or ""
                reason = answer.candidates[0].finish_reason if answer.candidates else None
                finish = reason.value if reason else finish
            return Got(text=text, finish=finish)
        except gemini_errors.APIError as error:
            return Got(error=_name(error), status=error.code, code=error.status)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test looks at
            return Got(error=_name(error))


def _name(error: Exception) -> str:
    return type(error).__name__


CALLS: dict[str, Call] = {
    "openai": of_openai(openai_client, chat),
    "openai-responses": of_openai(openai_client, respond),
    "azure": of_openai(azure_client, chat),
    "azure-responses": of_openai(azure_client, respond),
    "anthropic": anthropic_call,
    "bedrock": of_bedrock(converse),
    "bedrock-invoke": of_bedrock(invoke),
    "gemini": gemini_call,
}
"""By protocol."""
