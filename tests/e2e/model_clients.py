"""The real SDKs of the providers, each called in one and the same way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anthropic
import boto3
import botocore.exceptions
import openai
from botocore.config import Config

from tests.e2e.waiting import DEADLINE_S

MESSAGE = "What is a tail?"


@dataclass(frozen=True)
class Got:
    """What a client made of an answer: an exception's class with status and code, or a text with its end."""

    error: str | None = None
    status: int | None = None
    code: str | None = None
    text: str = ""
    finish: str | None = None


Call = Callable[..., Got]


def openai_call(url: str, *, stream: bool, retries: int = 0, give_up_s: float = DEADLINE_S) -> Got:
    with openai.OpenAI(
        base_url=f"{url}/v1", api_key="sk-test", max_retries=retries, timeout=give_up_s
    ) as client:
        messages: Any = [{"role": "user", "content": MESSAGE}]
        try:
            if not stream:
                answer = client.chat.completions.create(model="m", messages=messages)
                if isinstance(answer, str):
                    return Got(text=answer)
                choice = answer.choices[0]
                return Got(text=choice.message.content or "", finish=choice.finish_reason)
            text, finish = "", None
            for chunk in client.chat.completions.create(model="m", messages=messages, stream=True):
                text += chunk.choices[0].delta.content or ""
                finish = chunk.choices[0].finish_reason or finish
            return Got(text=text, finish=finish)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test looks at
            return Got(
                error=_name(error),
                status=getattr(error, "status_code", None),
                code=getattr(error, "code", None),
            )


def anthropic_call(url: str, *, stream: bool, retries: int = 0, give_up_s: float = DEADLINE_S) -> Got:
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=retries, timeout=give_up_s) as client:
        messages: Any = [{"role": "user", "content": MESSAGE}]
        try:
            if not stream:
                answer = client.messages.create(model="m", max_tokens=64, messages=messages)
                if isinstance(answer, str):
                    return Got(text=answer)
                return Got(text="".join(b.text for b in answer.content), finish=answer.stop_reason)
            text, finish = "", None
            for event in client.messages.create(model="m", max_tokens=64, messages=messages, stream=True):
                if event.type == "content_block_delta":
                    text += event.delta.text
                if event.type == "message_delta":
                    finish = event.delta.stop_reason
            return Got(text=text, finish=finish)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test looks at
            body = getattr(error, "body", None)
            code = body.get("error", {}).get("type") if isinstance(body, dict) else None
            return Got(error=_name(error), status=getattr(error, "status_code", None), code=code)


def bedrock_call(url: str, *, stream: bool, retries: int = 0, give_up_s: float = DEADLINE_S) -> Got:
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="AKTEST",
        aws_secret_access_key="secret",
        config=Config(
            retries={"total_max_attempts": retries + 1, "mode": "standard"},
            read_timeout=give_up_s,
            connect_timeout=DEADLINE_S,
        ),
    )
    messages: Any = [{"role": "user", "content": [{"text": MESSAGE}]}]
    try:
        if not stream:
            answer = client.converse(modelId="m", messages=messages)
            text = answer["output"]["message"]["content"][0]["text"] if "output" in answer else ""
            return Got(text=text, finish=answer.get("stopReason"))
        text, finish = "", None
        for event in client.converse_stream(modelId="m", messages=messages)["stream"]:
            text += event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
            finish = event.get("messageStop", {}).get("stopReason", finish)
        return Got(text=text, finish=finish)
    except botocore.exceptions.ClientError as error:
        told = error.response
        status = told.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return Got(error=_name(error), status=status, code=told["Error"]["Code"])
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test looks at
        return Got(error=_name(error))
    finally:
        client.close()


def _name(error: Exception) -> str:
    return type(error).__name__


CALLS = {"openai": openai_call, "anthropic": anthropic_call, "bedrock": bedrock_call}
