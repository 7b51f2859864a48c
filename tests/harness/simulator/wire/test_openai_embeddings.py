import base64
import json
import struct
from typing import Any

import pytest

from harness.simulator.wire.openai_embeddings import OpenAIEmbeddings
from harness.simulator.wire.protocol import BadRequestError
from tests.harness.simulator.wires import answered, call

WIRE = OpenAIEmbeddings()


def embedded(told: Any, **more: Any) -> list[Any]:
    answer = answered(call(protocol="openai-embeddings", input=told, **more))
    return [each["embedding"] for each in json.loads(WIRE.whole(answer))["data"]]


def test_a_text_has_one_vector_of_length_one_whoever_asks_with_it() -> None:
    (alone,), (first, second) = embedded("a"), embedded(["a", "b"])
    assert alone == first != second
    assert len(alone) == 1536
    assert sum(value * value for value in alone) == pytest.approx(1)


def test_vectors_come_as_numbers_or_as_base64_of_the_same() -> None:
    (numbers,), (packed,) = embedded("a", dimensions=8), embedded("a", dimensions=8, encoding_format="base64")
    assert struct.unpack("<8f", base64.b64decode(packed)) == pytest.approx(numbers)


def test_tokens_are_taken_as_well_as_texts() -> None:
    assert len(embedded([1, 2, 3])) == 1
    assert len(embedded([[1, 2], [3]])) == 2


@pytest.mark.parametrize("told", [[], "", [""], None, 5, [{}], [["a"]], ["a"] * 3000])
def test_what_is_no_input_is_refused(told: Any) -> None:
    with pytest.raises(BadRequestError, match="input"):
        embedded(told)


@pytest.mark.parametrize("more", [{"dimensions": 0}, {"dimensions": "8"}, {"encoding_format": "hex"}])
def test_what_is_no_setting_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError):
        embedded("a", **more)
