import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import SupportsIndex
from urllib.parse import quote, quote_plus

import pytest

from harness.outside.beginnings import Beginnings
from harness.outside.secrets import (
    forget,
    hidden,
    hidden_bytes,
    hidden_pieces,
    hide_in,
    of_environment,
    remember,
    remember_prompts,
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


PROMPTS = (
    'Summarise the file of Mrs Måkelä: "overdue",\nthen tell her so 😀, and what she owes.',
    "Summarise the file of Mr Smith",
    "Summarise the file",
    "hello",
)


@pytest.fixture
def asked() -> None:
    remember_prompts(PROMPTS)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("prompt", PROMPTS[:3])
def test_a_prompt_is_found_however_it_is_written_and_so_is_what_is_left_of_one(prompt: str) -> None:
    once = json.dumps(prompt)
    for form in (
        *(prompt, once, json.dumps(prompt, ensure_ascii=False), json.dumps(once), repr(prompt)),
        *(quote(prompt), quote_plus(prompt), html.escape(prompt)),
    ):
        for said in (f"it was asked {form}, and so on", f"it was asked {form[:27]}...", form):
            for left in (hidden(said), hidden_bytes(said.encode()).decode()):
                assert "[prompt]" in left
                assert not re.search("Summarise|Smith|kel|overdue|owes", left), left
    assert hidden("hello, it was asked to summarise") == "hello, it was asked to summarise"


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("ascii_alone", [True, False])
def test_json_without_a_prompt_is_json_wherever_that_is_cut(*, ascii_alone: bool) -> None:
    for end in range(16, len(PROMPTS[0])):
        for more in ('"', "\\", "😁", "\n", "è", "x"):
            line = json.dumps({"a": PROMPTS[0][:end] + more}, ensure_ascii=ascii_alone)
            without = json.loads(hidden_bytes(line.encode()))["a"]
            assert without.encode().startswith(b"[prompt]")


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("at_once", [1, 7, 64, 100_000])
@pytest.mark.parametrize("end", [b"\n", b" ", b"\xff"])
def test_a_prompt_is_found_wherever_the_readings_of_a_text_part(at_once: int, end: bytes) -> None:
    asked = PROMPTS[0].replace("\n", " ").encode()
    remember_prompts([asked.decode()])
    text = (b"x" * 70_000 + asked + end) * 3 + asked
    source = io.BytesIO(text)
    found = b"".join(hidden_pieces(lambda most: source.read(min(at_once * 300, most))))
    assert found == text.replace(asked, b"[prompt]")


def test_many_prompts_cost_no_more_than_few() -> None:
    looked_at = Counting("nothing of it is in here. " * 40)
    beginnings = Beginnings((f"{number}: what is it that was asked?" for number in range(10_000)), "[prompt]")
    assert beginnings.hidden(looked_at) == looked_at
    assert looked_at.slices <= 2
    assert beginnings.hidden("7777: what is it that was asked?!") == "[prompt]!"


class Counting(str):
    """A text that counts how often a piece of it is looked at."""

    __slots__ = ("slices",)

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        self.slices: int = getattr(self, "slices", 0) + 1
        return super().__getitem__(key)


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
