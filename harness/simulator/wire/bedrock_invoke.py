"""Bedrock's InvokeModel, streamed and not, with bodies of Anthropic's and of Nova's models; CountTokens."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic_core import to_json

from harness.simulator.wire.anthropic_messages import (
    delta_head,
    message_events,
    read_messages,
    whole_message,
)
from harness.simulator.wire.bedrock_converse import converse_events, converse_output, read_converse
from harness.simulator.wire.bedrock_http import BedrockHttp, event
from harness.simulator.wire.protocol import BadRequestError, Headers, ModelAnswer, ModelRequest
from harness.simulator.wire.reading import MALFORMED, checked_model, load

_ANTHROPIC, _NOVA = "anthropic", "nova"
_METRICS = "amazon-bedrock-invocationMetrics"


class BedrockInvoke(BedrockHttp):
    """InvokeModel as JSON, InvokeModelWithResponseStream as frames that hold JSON in base64."""

    name = "bedrock-invoke"
    path = re.compile(r"^/model/([^/]+)/invoke(-with-response-stream)?$")

    def parse(self, path: str, body: bytes) -> ModelRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not valid.
        """
        return read_invoke(load(body), *self.asked(path))

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write an answer at once."""
        if answer.request.extra == _ANTHROPIC:
            return whole_message(answer)
        return to_json(converse_output(answer))

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write a streamed answer."""
        if answer.request.extra == _ANTHROPIC:
            opened, pieces, (*closed, last) = message_events(answer)
            head = delta_head(answer)
            frames = [_chunk(head + to_json(piece) + b"}}") for piece in pieces] or [b""]
            return _joined(opened, frames, [*closed, last | {_METRICS: _metrics(answer)}])
        before, middle, after = converse_events(answer)
        frames = [_chunk(to_json({name: told})) for name, told in middle]
        *closed, last = [{name: told} for name, told in after]
        return _joined(
            [{name: told} for name, told in before], frames, [*closed, last | {_METRICS: _metrics(answer)}]
        )

    def answer_headers(self, answer: ModelAnswer) -> Headers:
        """Tell the figures of a whole answer, which are the last event of a streamed one."""
        if answer.request.stream:
            return [(b"x-amzn-bedrock-content-type", b"application/json")]
        return [
            (b"x-amzn-bedrock-input-token-count", b"%d" % answer.input_tokens),
            (b"x-amzn-bedrock-output-token-count", b"%d" % answer.tokens),
            (b"x-amzn-bedrock-invocation-latency", b"%d" % _took_ms(answer)),
        ]


class BedrockCountTokens(BedrockHttp):
    """Tokens of what would be a call of either, counted and not answered."""

    name = "bedrock-count-tokens"
    operation = "count_tokens"
    path = re.compile(r"^/model/([^/]+)/count-tokens()?$")

    def parse(self, path: str, body: bytes) -> ModelRequest:
        """Read a request.

        Raises:
            BadRequestError: it is not valid.
        """
        model, _ = self.asked(path)
        try:
            match load(body)["input"]:
                case {"converse": asked}:
                    counted = read_converse(asked, model, stream=False)
                case {"invokeModel": {"body": told}}:
                    counted = read_invoke(load(base64.b64decode(told)), model, stream=False)
                case _:
                    raise BadRequestError("input must be one of: converse, invokeModel")
        except MALFORMED as error:
            raise BadRequestError(f"not a request to count tokens: {error!r:.200}") from error
        return replace(counted, counts=True)

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write the count."""
        return to_json({"inputTokens": answer.input_tokens})

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write the count: it is never streamed."""
        return [self.whole(answer)]


def read_invoke(record: dict[str, Any], model: str, stream: bool) -> ModelRequest:  # noqa: FBT001 - as the path tells both
    """Read a body in the form of its model.

    Raises:
        BadRequestError: it is not valid, or of a form that is not known here.
    """
    if "anthropic_version" in record:
        if record.get("max_tokens") is None:
            raise BadRequestError("max_tokens: Field required")
        asked = read_messages(record | {"model": checked_model(model), "stream": stream})
        return replace(asked, extra=_ANTHROPIC)
    if "messages" in record:
        return replace(read_converse(record, model, stream), extra=_NOVA)
    raise BadRequestError(
        "Malformed input request: this simulator knows the bodies of Anthropic's models, with "
        "anthropic_version, and of Nova's, with messages."
    )


def _joined(
    before: Iterable[Mapping[str, Any]], frames: list[bytes], after: Iterable[Mapping[str, Any]]
) -> list[bytes]:
    opened = b"".join([_chunk(to_json(told)) for told in before])
    return [opened + frames[0], *frames[1:], b"".join([_chunk(to_json(told)) for told in after])]


def _chunk(told: bytes) -> bytes:
    return event("chunk", {"bytes": base64.b64encode(told).decode()})


def _metrics(answer: ModelAnswer) -> dict[str, int]:
    return {
        "inputTokenCount": answer.input_tokens,
        "outputTokenCount": answer.tokens,
        "invocationLatency": _took_ms(answer),
        "firstByteLatency": round(answer.first_s * 1e3),
    }


def _took_ms(answer: ModelAnswer) -> int:
    return round(answer.took_s * 1e3)
