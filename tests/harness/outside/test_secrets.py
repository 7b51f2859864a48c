import html
import io
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from harness.outside.secrets import (
    forget,
    hidden,
    hidden_bytes,
    hidden_pieces,
    hide_in,
    of_environment,
    remember,
)

KEY = 'sk-"7&é\\x/y'


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    remember(["Bearer " + KEY, "sh0rt", "-----BEGIN-----\nMIIEvQ1b\n-----END-----"])
    yield
    forget()


WRITTEN = (
    *(KEY, json.dumps(KEY), json.dumps(KEY, ensure_ascii=False)),
    *(quote(KEY, safe=""), quote(KEY), quote_plus(KEY), html.escape(KEY), repr(KEY)),
)


@pytest.mark.parametrize("form", WRITTEN)
def test_a_secret_is_found_however_it_is_written(form: str) -> None:
    assert "[secret]" in hidden(f"it said {form}.")
    assert "sk-" not in hidden(f"it said {form}.")
    assert b"sk-" not in hidden_bytes(f"it said {form}.".encode())


def test_a_line_of_a_key_is_a_secret_too_and_a_short_word_is_none() -> None:
    assert hidden("Bearer MIIEvQ1b sh0rt") == "Bearer [secret] sh0rt"


def test_the_files_of_a_folder_are_rid_of_them(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    log = tmp_path / "a" / "b" / "x.log"
    log.write_bytes(b"fine\nheader: Bearer " + KEY.encode() + b"\n\xff\nfine")
    other = tmp_path / "beside.log"
    other.write_text(KEY)
    (tmp_path / "a" / "link.log").symlink_to(other)
    hide_in(tmp_path / "a")
    assert log.read_bytes() == b"fine\nheader: [secret]\n\xff\nfine"
    assert other.read_text() == KEY


@pytest.mark.parametrize("at_once", [1, 3, 7, 64, 100_000])
@pytest.mark.parametrize("end", [b"\n", b" "])
def test_a_secret_is_found_wherever_the_readings_of_a_text_part(at_once: int, end: bytes) -> None:
    text = (b"x" * 70_000 + KEY.encode() + end) * 3 + KEY.encode()
    source = io.BytesIO(text)
    found = b"".join(hidden_pieces(lambda most: source.read(min(at_once * 300, most))))
    assert found == text.replace(KEY.encode(), b"[secret]")


def test_a_line_is_there_as_soon_as_it_is_whole() -> None:
    source = iter([b"a\nb", b"c\n", b""])
    pieces = hidden_pieces(lambda _: next(source))
    assert [next(pieces), next(pieces), next(pieces)] == [b"a\n", b"bc\n", b""]


def test_only_what_is_called_a_secret_is_one() -> None:
    given = {"OPENAI_API_KEY": "k", "AWS_REGION": "r", "DB_PASSWORD": "p", "Authorization": "a", "PORT": "1"}
    assert list(of_environment(given).values()) == ["k", "p", "a"]


@pytest.mark.parametrize(
    "value",
    [
        "test",
        "unused",
        "not-a-key",
        "made-up",
        "simulator",
        "OpenAIKey",
        "SECRET_TOKEN",
        "sk-1",
        "12345678901234567",
    ],
)
def test_what_stands_in_names_and_numbers_by_chance_is_not_hidden(value: str) -> None:
    remember([value])
    for text in (
        f"cold-{value}-run",
        f'{{"experiment":"{value}"}}',
        f"runs/{value}/report.html",
        f"1.{value}",
    ):
        assert hidden(text) == text


@pytest.mark.parametrize(
    "value", ["a1b2c3d4", "hunter2hunter2", "hJkLmNoPqR", "correct-horse-battery", "1" * 24, "8c0c1b9e-7f"]
)
def test_what_does_not_is(value: str) -> None:
    remember([value])
    assert hidden(f"Bearer {value}") == "Bearer [secret]"


def test_nothing_is_hidden_where_nothing_is_known() -> None:
    forget()
    assert (hidden(KEY), hidden_bytes(b"x")) == (KEY, b"x")
