import pytest

from harness.under_test import fill, with_environment

PLACES = dict.fromkeys(("port", "name", "limit", "simulator", "api_key", "mcp", "otlp", "sessions"), "!") | {
    "port": "8080",
    "simulator": "http://127.0.0.1:9",
}


def test_places_are_filled_and_other_braces_stay() -> None:
    assert fill('--port={port} {"a": {simulator}/v1} {else}', PLACES) == (
        '--port=8080 {"a": http://127.0.0.1:9/v1} {else}'
    )


def test_a_variable_of_the_environment_is_put_in_when_it_is_needed() -> None:
    assert with_environment("Bearer ${TOKEN}", {"TOKEN": "x"}) == "Bearer x"
    assert with_environment("$TOKEN ${", {}) == "$TOKEN ${"
    with pytest.raises(KeyError):
        with_environment("${TOKEN}", {})
