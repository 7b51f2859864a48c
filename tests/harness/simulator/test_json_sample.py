import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.simulator.json_sample import sample

NAME = "5f2a9c01d4e87b36"
TREE = {
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer", "minimum": 3},
                "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
            },
            "required": ["value", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/Node",
}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {}},
        {"type": "object", "additionalProperties": False},
        {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "boolean"}},
            "required": ["b"],
        },
        {"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": True},
        {"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 2, "uniqueItems": True},
        {"type": "array", "maxItems": 0},
        {"type": "array", "prefixItems": [{"const": 1}, {"type": "null"}]},
        {"type": "string", "minLength": 40, "maxLength": 50},
        {"type": "string", "maxLength": 2},
        {"type": "string", "format": "date-time"},
        {"type": "integer", "exclusiveMinimum": 4, "maximum": 5},
        {"type": "integer", "minimum": -9, "maximum": -3},
        {"type": "number", "minimum": 0.25, "maximum": 0.5},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5},
        {"type": "integer", "minimum": 11, "multipleOf": 5},
        {"type": ["null", "integer"]},
        {
            "oneOf": [
                {"type": "null"},
                {"type": "object", "properties": {"k": {"const": "v"}}, "required": ["k"]},
            ]
        },
        {"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"required": ["b"]}]},
        {"properties": {"n": {"minimum": 3}}, "required": ["n"]},
        {"const": [1, {"a": None}]},
        TREE,
    ],
)
def test_the_sample_satisfies_the_schema(schema: dict[str, Any]) -> None:
    value = json.loads(json.dumps(sample(schema, NAME)))
    jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())
    assert sample(schema, NAME) == value


def test_optional_parts_are_filled_in_where_nothing_must_be_there() -> None:
    assert sample({"type": "object", "properties": {"query": {"type": "string"}}}, NAME) == {
        "query": "topic 5f2a9c"
    }


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("type", "properties", "items", "required", "enum", "anyOf", "allOf", "$ref", "minimum"),
                    *(
                        "maximum",
                        "minItems",
                        "maxItems",
                        "minLength",
                        "maxLength",
                        "const",
                        "multipleOf",
                        "a",
                    ),
                ]
            ),
            inner | st.sampled_from(["object", "array", "string", "integer", "#", "#/properties"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(anything)
def test_a_schema_that_makes_no_sense_gives_a_value_all_the_same(schema: Any) -> None:
    sample(schema, NAME)


def test_a_schema_that_is_wide_and_deep_gives_a_bounded_value() -> None:
    wide: dict[str, Any] = {"type": "object"}
    wide["properties"] = {str(n): {"$ref": "#"} for n in range(50)}
    wide["required"] = [str(n) for n in range(50)]
    assert len(json.dumps(sample(wide, NAME))) < 200_000
    assert len(sample({"type": "array", "minItems": 10**9}, NAME)) <= 100
    assert len(sample({"type": "string", "minLength": 10**9}, NAME)) <= 10_000


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"$ref": "#"}]},
        {"allOf": [{"$ref": "#"}] * 50},
        {"type": "integer", "minimum": 1e308, "multipleOf": 1e-320},
        {"type": "number", "exclusiveMinimum": 10**400, "exclusiveMaximum": 1.5},
        {"type": "integer", "multipleOf": float("inf")},
        {"type": "number", "minimum": float("inf"), "multipleOf": float("nan")},
    ],
)
def test_a_schema_without_end_and_numbers_beyond_all_bounds_give_a_value(schema: dict[str, Any]) -> None:
    json.dumps(sample(schema, NAME), allow_nan=False)


def test_a_large_schema_is_not_gone_through_again_and_again() -> None:
    gone_through = 0

    class Choices(list[Any]):
        def __iter__(self) -> Any:
            nonlocal gone_through
            gone_through += 1
            return super().__iter__()

    choices = Choices([{"type": "string"}] * 50_000)
    sample({"type": "array", "minItems": 100, "items": {"anyOf": choices}}, NAME)
    assert 0 < gone_through < 10
