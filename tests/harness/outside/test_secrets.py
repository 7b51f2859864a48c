import html
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from harness.outside.secrets import forget, hidden, hidden_bytes, hide_in, of_environment, remember

KEY = 'sk-"7&é\\x'


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    remember(["Bearer " + KEY, "sh0rt", "-----BEGIN-----\nMIIEvQ1b\n-----END-----"])
    yield
    forget()


WRITTEN = (
    *(KEY, json.dumps(KEY), json.dumps(KEY, ensure_ascii=False)),
    *(quote(KEY, safe=""), html.escape(KEY), repr(KEY)),
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
