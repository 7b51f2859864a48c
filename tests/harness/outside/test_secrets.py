import base64
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
    beginning,
    forget,
    hidden,
    hidden_bytes,
    hidden_pieces,
    hide_in,
    in_addresses,
    of_environment,
    of_words,
    remember,
    remember_prompts,
)

KEY = 'sk-"7&é\\x/y'


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    remember(["Bearer " + KEY, "sh0rt", "-----BEGIN-----\nMIIEvQ1b\n-----END-----"])
    yield
    forget()


def base64_within(before: str, text: str) -> str:
    return base64.b64encode(f"{before}{text}|".encode()).decode()


def as_dot_net(text: str) -> str:
    return re.sub(r"[^ -~]|[\"'&<>+`]", lambda found: f"\\u{ord(found[0]):04X}", text.replace("\\", "\\\\"))


def forms_of(text: str) -> tuple[str, ...]:
    once = json.dumps(text)
    twice = json.dumps(once)
    return (
        *(text, once, json.dumps(text, ensure_ascii=False), twice, json.dumps(twice)),
        *(quote(text, safe=""), quote(text), quote_plus(text), quote(text).lower(), quote(quote(text))),
        *(html.escape(text), html.escape(html.escape(text)), repr(text), repr(text.encode()), ascii(text)),
        *(json.dumps(html.escape(text)), quote(once), once.replace("/", "\\/"), as_dot_net(text)),
        *(base64_within("user:"[:length], text) for length in range(6)),
        *(
            base64.urlsafe_b64encode(f"user:{text}".encode()).decode(),
            quote(base64_within("u", text), safe=""),
        ),
        *(text.encode().hex(), text.encode().hex().upper()),
    )


WRITTEN = forms_of(KEY)


@pytest.mark.parametrize("form", WRITTEN)
def test_a_secret_is_found_however_it_is_written(form: str) -> None:
    assert "[secret]" in hidden(f"it said {form}.")
    assert "sk-" not in hidden(f"it said {form}.")
    assert b"sk-" not in hidden_bytes(f"it said {form}.".encode())


def test_a_key_with_what_keys_have_is_found_whole_however_it_is_written() -> None:
    key = "zm9v+b/k 'q'<&>~\n=="  # no capitals, so that a whole form may be in small letters
    remember([key])
    plain = [form for form in forms_of(key) if "[secret]" not in hidden(f"it said {form}.")]
    assert not plain
    for form in forms_of(key):
        if "zm9v" in form:
            assert not re.search("[qk]", hidden(form).replace("[secret]", "")), form


def test_json_in_which_a_secret_was_is_json() -> None:
    for key in ("ends-in-1\\", '"begins-with-1', "a\\\\b-1234567", '\\"a1b2c3d4"'):
        forget()
        remember([key])
        for text in (json.dumps({"k": key, "l": f"x{key}\n"}), json.dumps({"in": json.dumps({"k": key})})):
            shown = hidden(text)
            assert key not in shown
            assert "[secret]" in shown
            assert set(json.loads(shown)) == set(json.loads(text))


def test_of_a_text_that_is_shortened_no_part_of_a_secret_is_left() -> None:
    key = "sk-proj-" + "a1B2" * 10
    remember([key])
    for at in range(150, 210):
        assert "sk-" not in beginning("x" * at + key, 200)
    assert beginning("x" * 300, 200) == "x" * 200
    assert "sk-" not in beginning((key + " ") * 10_000, 200_000)


def test_an_address_tells_its_password_and_its_key() -> None:
    found = in_addresses(
        "postgres://me:p%40ssw0rd1@db/x?sslmode=require&api_key=q1w2e3r4&x=1, https://ghp_1a2b@git/"
    )
    assert {"p%40ssw0rd1", "p@ssw0rd1", "q1w2e3r4", "ghp_1a2b"} == set(found)
    given = {"DATABASE_URL": "postgres://me:p4ssw0rd1@db/x", "HOME": "/root"}
    assert list(of_environment(given).values()) == ["p4ssw0rd1"]


def test_what_is_basic_in_a_header_is_the_password_it_holds() -> None:
    remember(["Basic " + base64.b64encode(b"me:hunter2hunter2").decode()])
    assert hidden("me said hunter2hunter2") == "me said [secret]"


def test_the_words_of_a_command_have_secrets_behind_what_is_called_so() -> None:
    words = [
        "python",
        "agent.py",
        "--api-key",
        "k1",
        "--token=k2",
        "PASSWORD=k3",
        "--port",
        "80",
        "token",
        "k4",
    ]
    assert of_words([*words, "redis://:k5@db", "--auth-key"]) == ["k1", "k2", "k3", "k5"]


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


@pytest.mark.usefixtures("asked")
def test_a_prompt_in_base64_is_found_and_so_is_what_is_left_of_one() -> None:
    for length in range(6):
        whole = base64_within("asked"[:length], PROMPTS[0])
        for said in (whole, whole[:60]):
            assert "[prompt]" in hidden(said)
            assert len(hidden(said).replace("[prompt]", "")) < 20
