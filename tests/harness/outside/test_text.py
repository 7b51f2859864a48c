from pathlib import Path

import pytest

from harness.errors import InputError
from harness.outside.text import parse_json, parse_toml, read_text, shown

DEEP = 200_000


@pytest.mark.parametrize("text", ["[" * DEEP, '{"a":' * DEEP, "", "{", b"\xff"])
def test_whatever_is_wrong_with_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\ud800"', "?"),
        (rb'{"\uDFFF": ["a\ud83d", 1]}', {"?": ["a?", 1]}),
        (r'"\ud83d\ude00"', "😀"),
    ],
)
def test_half_characters_do_not_come_in(text: str | bytes, value: object) -> None:
    assert parse_json(text) == value


@pytest.mark.parametrize("text", ["a = " + "[" * DEEP, "a = " + "{a = " * 20_000, "a = ["])
def test_whatever_is_wrong_with_toml_names_the_file(text: str) -> None:
    with pytest.raises(InputError, match=r"x\.toml: is "):
        parse_toml(text, "x.toml")


@pytest.mark.parametrize("name", ["nowhere", "n" * 5000, "nul\0", "."])
def test_a_file_that_cannot_be_read_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read: .* Look again\."):
        read_text(tmp_path / name, "Look again.")


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff")
    with pytest.raises(InputError, match="it is not UTF-8 text"):
        read_text(tmp_path / "x", "Look again.")


def test_what_a_terminal_would_obey_is_shown_as_its_code() -> None:
    assert shown("a\tb\nc é😀 \x1b[2J\r\x9b1m\x00") == "a\tb\nc é😀 \\x1b[2J\\x0d\\x9b1m\\x00"
