"""OpenAI's embeddings: vectors made of the texts' hashes."""

from __future__ import annotations

import base64
import struct
from hashlib import shake_256
from typing import Any

from pydantic_core import to_json

from harness.simulator.wire.openai_http import OpenAIHttp
from harness.simulator.wire.protocol import BadRequestError, ModelAnswer, ModelRequest
from harness.simulator.wire.reading import checked_model, name_of_call

DIMENSIONS, MOST_DIMENSIONS = 1536, 4096
MOST_INPUTS = 2048
MOST_FIGURES = 2_000_000
"""Of one answer: inputs times dimensions."""


class OpenAIEmbeddings(OpenAIHttp):
    """Embeddings of a text, of many, or of tokens; as numbers, or as base64 of floats."""

    name = "openai-embeddings"
    operation = "embeddings"
    paths = ("/v1/embeddings",)

    def read(self, record: dict[str, Any]) -> ModelRequest:
        """Read a request that is parsed.

        Raises:
            BadRequestError: it is not valid.
        """
        texts = _texts(record.get("input"))
        model = checked_model(record.get("model"))
        form = "float" if record.get("encoding_format") is None else record["encoding_format"]
        if form not in ("float", "base64"):  # a set would ask for a hash
            raise BadRequestError("'encoding_format' must be 'float' or 'base64'.", param="encoding_format")
        dimensions = DIMENSIONS if record.get("dimensions") is None else record["dimensions"]
        if isinstance(dimensions, bool) or not isinstance(dimensions, int):
            raise BadRequestError("Invalid type for 'dimensions': expected an integer.", param="dimensions")
        if not 1 <= dimensions <= MOST_DIMENSIONS or dimensions * len(texts) > MOST_FIGURES:
            message = (
                f"'dimensions' must be 1 to {MOST_DIMENSIONS}, and {MOST_FIGURES} figures in all at most."
            )
            raise BadRequestError(message, param="dimensions")
        call_id = name_of_call(model, texts)
        return ModelRequest(
            model=model, stream=False, call_id=call_id, texts=texts, counts=True, extra=(form, dimensions)
        )

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write the vectors."""
        form, dimensions = answer.request.extra
        data = [
            {"object": "embedding", "index": number, "embedding": _vector(text, dimensions, form)}
            for number, text in enumerate(answer.request.texts)
        ]
        usage = {"prompt_tokens": answer.input_tokens, "total_tokens": answer.input_tokens}
        return to_json({"object": "list", "data": data, "model": answer.model, "usage": usage})

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write the vectors: they are never streamed."""
        return [self.whole(answer)]


def _texts(asked: Any) -> list[str]:
    """Return the inputs as texts; tokens as the digits that they are told in."""
    inputs = [asked] if isinstance(asked, str) or _are_tokens(asked) else asked
    if not isinstance(inputs, list) or not 0 < len(inputs) <= MOST_INPUTS or "" in inputs:
        message = f"'input' must be a text, or a list of 1 to {MOST_INPUTS} texts, none of them empty."
        raise BadRequestError(message, param="input")
    texts = [" ".join(map(str, each)) if _are_tokens(each) else each for each in inputs]
    if not all(isinstance(text, str) for text in texts):
        raise BadRequestError("'input' must be texts or lists of tokens.", param="input")
    return texts


def _are_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)


def _vector(text: str, dimensions: int, form: str) -> list[float] | str:
    """Return a vector of length 1, always the same for the same text."""
    digest = shake_256(text.encode("utf-8", "replace")).digest(dimensions)
    raw = [byte / 127.5 - 1 for byte in digest]
    length = sum(value * value for value in raw) ** 0.5 or 1.0
    vector = [value / length for value in raw]
    return vector if form == "float" else base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
