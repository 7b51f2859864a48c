"""Bodies of requests in each protocol, and calls made of them."""

import json
from typing import Any

from harness.simulator.calls import ModelCall, answer_to
from harness.simulator.fault_choice import Decider
from harness.simulator.wire import wire_for
from harness.simulator.wire.protocol import ModelAnswer
from harness.simulator_config import SimulatorConfig

PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "bedrock": "/model/m/converse",
}


def body(protocol: str, text: str = "hello", *, stream: bool = False, **more: Any) -> bytes:
    content: Any = [{"text": text}] if protocol == "bedrock" else text
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
    if protocol != "bedrock":
        asked |= {"model": "m", "stream": stream, "max_tokens": 64}
    return json.dumps(asked | more).encode()


def path(protocol: str, *, stream: bool = False) -> str:
    return PATHS[protocol] + ("-stream" if stream and protocol == "bedrock" else "")


def call(
    text: str = "hello",
    *,
    protocol: str = "openai",
    stream: bool = False,
    attempt: int = 1,
    key: str = "k",
    session: str | None = None,
    **more: Any,
) -> ModelCall:
    where = path(protocol, stream=stream)
    wire = wire_for(where)
    assert wire is not None
    asked = wire.parse(where, body(protocol, text, stream=stream, **more))
    return ModelCall(wire=wire, request=asked, key=key, attempt=attempt, session=session)


def answered(a_call: ModelCall, config: SimulatorConfig | None = None) -> ModelAnswer:
    return answer_to(a_call.request, config or SimulatorConfig())


def decider(config: SimulatorConfig, now: Any = lambda: 0.0, start_s: float = 0.0) -> Decider:
    return Decider(config, now, start_s, lambda _: False)
