"""Bodies of requests in each protocol, and calls made of them."""

import json
from typing import Any

from harness.simulator.calls import ModelCall, answer_to
from harness.simulator.fault_choice import Decider
from harness.simulator.wire import Wires
from harness.simulator.wire.protocol import ModelAnswer
from harness.simulator_config import SimulatorConfig

WIRES = Wires()
PATHS = {
    "openai": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "openai-embeddings": "/v1/embeddings",
    "azure": "/openai/deployments/m/chat/completions",
    "azure-responses": "/openai/v1/responses",
    "azure-embeddings": "/openai/deployments/m/embeddings",
    "anthropic": "/v1/messages",
    "anthropic-count-tokens": "/v1/messages/count_tokens",
    "bedrock": "/model/m/converse",
    "bedrock-invoke": "/model/m/invoke",
    "bedrock-count-tokens": "/model/m/count-tokens",
    "gemini": "/v1beta/models/m:generateContent",
    "gemini-count-tokens": "/v1beta/models/m:countTokens",
}
STREAM_PATHS = {
    "bedrock": "/model/m/converse-stream",
    "bedrock-invoke": "/model/m/invoke-with-response-stream",
    "gemini": "/v1beta/models/m:streamGenerateContent",
}
STREAMING = [name for name in PATHS if not name.endswith(("-embeddings", "-count-tokens"))]
"""Protocols that answer with text."""


def body(protocol: str, text: str = "hello", /, *, stream: bool = False, **more: Any) -> bytes:
    nested = {"messages": [{"role": "user", "content": [{"text": text}]}]}
    plain: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    match protocol:
        case "openai-responses" | "azure-responses":
            asked: dict[str, Any] = {"model": "m", "input": text, "stream": stream}
        case "openai-embeddings" | "azure-embeddings":
            asked = {"model": "m", "input": text}
        case "bedrock":
            asked = nested
        case "bedrock-invoke":
            asked = plain | {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64}
        case "bedrock-count-tokens":
            asked = {"input": {"converse": nested}}
        case "gemini" | "gemini-count-tokens":
            asked = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        case _:
            asked = plain | {"model": "m", "stream": stream, "max_tokens": 64}
    return json.dumps(asked | more).encode()


def conversation(protocol: str, *said: tuple[str, str]) -> dict[str, Any]:
    """What a body has in place of its one message: who said what."""
    match protocol:
        case "openai-responses" | "azure-responses":
            return {"input": [{"role": role, "content": text} for role, text in said]}
        case "gemini":
            roles = {"assistant": "model"}
            return {"contents": [{"role": roles.get(r, r), "parts": [{"text": text}]} for r, text in said]}
        case "bedrock":
            return {"messages": [{"role": role, "content": [{"text": text}]} for role, text in said]}
    return {"messages": [{"role": role, "content": text} for role, text in said]}


def path(protocol: str, *, stream: bool = False) -> str:
    return STREAM_PATHS.get(protocol, PATHS[protocol]) if stream else PATHS[protocol]


def call(
    text: str = "hello",
    /,
    *,
    protocol: str = "openai",
    stream: bool = False,
    attempt: int = 1,
    key: str = "k",
    session: str | None = None,
    **more: Any,
) -> ModelCall:
    where = path(protocol, stream=stream)
    wire = WIRES.of(where)
    assert wire is not None
    asked = wire.parse(where, body(protocol, text, stream=stream, **more))
    return ModelCall(
        wire=wire, request=asked, key=key, attempt=attempt, lasting=asked.call_id, session=session
    )


def answered(a_call: ModelCall, config: SimulatorConfig | None = None) -> ModelAnswer:
    return answer_to(a_call.request, config or SimulatorConfig())


def decider(config: SimulatorConfig, now: Any = lambda: 0.0, start_s: float = 0.0) -> Decider:
    return Decider(config, now, start_s, lambda _: False)
