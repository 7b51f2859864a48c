"""Whether an answer is what was asked for, what it says, and when its first words were there.

A success is a 2xx status with something in it (a JSON value, a text, a stream of events or of lines) that
tells of no error. What tells of one inside a 2xx is a rule: a path, and perhaps what has to stand there.

| rule | holds where |
|---|---|
| `error` | something stands there, and it is neither empty, `false`, `null` nor 0 |
| `type = RUN_ERROR` | just that stands there |
| `result ^= "Error:"` | a text stands there that begins so |
| `result *= "went wrong"` | a text stands there that has it in it |

Each event of a stream is looked at, not the last alone: a good-bye after an error makes no success of it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from harness.asking.json_path import Path, find, parse
from harness.asking.request import EVENT_STREAM
from harness.outside.secrets import beginning
from harness.outside.text import parse_json
from harness.simulator_config import CANARY
from harness.under_test import RequestShape

USUAL_ERRORS: Final = ("error", "type = error", "type = RUN_ERROR", "type = response.failed")
"""What tells of an error where the owner of an agent says nothing else: its own key, and the events of AG-UI
and of the Responses API. An event named `error` is one as well."""
Place = tuple[str | int, ...]
"""Where a text stands in a JSON value: names and positions."""
JSON_LINES: Final = (
    "application/x-ndjson",
    "application/jsonl",
    "application/json-lines",
    "application/ndjson",
)
DONE: Final = "[DONE]"
"""The end mark of many streams: no event of its own."""
SHOWN_CHARS: Final = 200
_RULE: Final = re.compile(r"""((?:[^=^*\["']|\[[^\]]*\])*?)\s*(?:([\^*]?=)\s*(.*))?""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an answer counts as an error.

    Attributes:
        error: in words.
        error_type: the agent's own `error_type`, or a short name of ours.
    """

    error: str
    error_type: str | None


def _value(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return text.strip()


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One rule of what tells of an error.

    Attributes:
        path: where to look.
        how: `=`, `^=` or `*=`; empty when anything that says something will do.
        value: what has to stand there.
    """

    path: Path
    how: str
    value: Any

    @classmethod
    def of(cls, text: str) -> ErrorRule:
        """Read a rule.

        Raises:
            ValueError: it is none.
        """
        found = _RULE.fullmatch(text.strip())
        if found is None:
            raise ValueError('is no rule such as `error`, `type = RUN_ERROR` or `result ^= "Error:"`')
        where, how, what = found.groups()
        if how and not what:
            raise ValueError(f"says nothing after {how}")
        return cls(parse(where), how or "", _value(what or ""))

    def holds(self, said: Any) -> bool:
        """Return whether a JSON value tells of an error."""
        return any(self._matches(each) for each in find(said, self.path))

    def _matches(self, value: Any) -> bool:
        match self.how:
            case "":
                return bool(value)
            case "=":
                return bool(value == self.value)
            case "^=":
                return isinstance(value, str) and value.startswith(str(self.value))
            case _:
                return isinstance(value, str) and str(self.value) in value


@dataclass(frozen=True, slots=True)
class Piece:
    """One JSON value or text of an answer.

    Attributes:
        value: what it says.
        end: bytes of the body until it was whole.
        event: its name, where a stream gives one.
        broken: whether it looks like JSON and is none.
    """

    value: Any
    end: int
    event: str = ""
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer says.

    Attributes:
        failure: what is wrong with it, None for a success.
        text: its words: where they were said to be, else all of it as it came.
        recalled: its canary words, wherever in it they stand, each as often as in one text of it.
        first_token_end: after how many bytes of its body the first words were there: of a stream those are
            the first event with some in it, of one JSON value its end, for nobody can read a part of that.
            None for a failure, and when there are none.
    """

    failure: Failure | None
    text: str
    recalled: tuple[str, ...]
    first_token_end: int | None


@dataclass(frozen=True, slots=True)
class AnswerReader:
    """Reads the answers of one agent.

    Attributes:
        answer: path of the text, None when any answer will do; `named` is how its owner wrote it.
        rules: what tells of an error.
        usual: whether these are the usual ones.
    """

    answer: Path | None = None
    named: str = ""
    rules: tuple[ErrorRule, ...] = tuple(map(ErrorRule.of, USUAL_ERRORS))
    usual: bool = True

    @classmethod
    def of(cls, shape: RequestShape) -> AnswerReader:
        """Return the reader for a shape, whose paths were checked when it was read."""
        return cls(
            parse(shape.answer) if shape.answer else None,
            shape.answer,
            tuple(map(ErrorRule.of, shape.error_when or USUAL_ERRORS)),
            usual=not shape.error_when,
        )

    def read(self, status: int, content_type: str, body: bytes) -> Answer:
        """Read an answer.

        Args:
            status: HTTP status.
            content_type: of the answer; may be empty.
            body: whole.
        """
        pieces = tuple(pieces_of(content_type, body))
        failure = self._failure(status, pieces, body)
        return Answer(
            failure=failure,
            text=self._text(pieces, body),
            recalled=self._recalled(content_type, pieces, body),
            first_token_end=None if failure else self._first_token_end(content_type, pieces, body),
        )

    def _failure(self, status: int, pieces: Sequence[Piece], body: bytes) -> Failure | None:
        if not is_success(status):
            said = next((piece.value for piece in reversed(pieces)), None)
            return Failure(f"HTTP {status}: {_told(said, body)}", _type_of(said) or f"http_{status}")
        if not pieces or any(piece.broken for piece in pieces):
            return Failure(f"HTTP {status} that is not JSON: {_shown(body)}", "not_json")
        for piece in pieces:
            if (self.usual and piece.event == "error") or any(rule.holds(piece.value) for rule in self.rules):
                told = _told(piece.value, body)
                return Failure(f"HTTP {status} with an error: {told}", _type_of(piece.value) or "error")
        if self.answer is not None and not any(map(self._texts, pieces)):
            return Failure(f"HTTP {status} without {self.named}: {_shown(body)}", "no_answer")
        return None

    def _text(self, pieces: Sequence[Piece], body: bytes) -> str:
        if self.answer is None:
            return body.decode(errors="replace")
        return "".join(text for piece in pieces for text in self._texts(piece))

    def _recalled(self, content_type: str, pieces: Sequence[Piece], body: bytes) -> tuple[str, ...]:
        """Return the words in an answer, each as often as it stands in what the model said.

        A body may hold more than that: what was asked, or the conversation so far; a stream may say all of it
        once more at its end. So a word that stands in several places counts as often as in one of them.
        """
        places = [_words_of(texts, cut=is_stream(content_type)) for texts in self._places(pieces).values()]
        most = Counter[str]()
        for words in places:
            most |= Counter(words)
        said = [word for words in places for word in words if _taken(word, most)]
        if is_stream(content_type):
            return tuple(said)
        whole = CANARY.findall(body.decode(errors="replace"))
        # elsewhere, as in the name of a field, a word tells that it is known, and not how often
        return (*said, *dict.fromkeys(word for word in whole if word not in said))

    def _places(self, pieces: Sequence[Piece]) -> dict[Place, list[str]]:
        """Return the texts of an answer by where they stand: pieces of one text all stand in one place."""
        found: dict[Place, list[str]] = {}
        for piece in pieces:
            if self.answer is not None:
                found.setdefault((), []).extend(self._texts(piece))
                continue
            for place, text in _strings(piece.value):
                found.setdefault(place, []).append(text)
        return found

    def _first_token_end(self, content_type: str, pieces: Sequence[Piece], body: bytes) -> int | None:
        """Of a text, as it may be read while it comes, it is the first byte."""
        if self.answer is None and not is_stream(content_type) and _is_text(content_type):
            return 1 if body else None
        return next((piece.end for piece in pieces if self._says(piece)), None)

    def _says(self, piece: Piece) -> bool:
        return piece.value not in ("", None) if self.answer is None else bool(self._texts(piece))

    def _texts(self, piece: Piece) -> list[str]:
        if self.answer is None:
            return []
        found = find(piece.value, self.answer)
        return [
            each if isinstance(each, str) else json.dumps(each) for each in found if each not in ("", None)
        ]


def _words_of(texts: Sequence[str], *, cut: bool) -> list[str]:
    """Return the canary words in the texts of one place; a stream may have cut one in two."""
    apart: list[str] = CANARY.findall("\n".join(texts))
    joined: list[str] = CANARY.findall("".join(texts))
    return joined if cut and len(joined) >= len(apart) else apart


def _taken(word: str, left: Counter[str]) -> bool:
    """Take a word where there is one left."""
    left[word] -= 1
    return left[word] >= 0


def is_success(status: int) -> bool:
    """Return whether an HTTP status is one of success."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def is_stream(content_type: str) -> bool:
    """Return whether an answer comes in pieces that each can be read."""
    return content_type.startswith((EVENT_STREAM, *JSON_LINES))


def pieces_of(content_type: str, body: bytes) -> Iterator[Piece]:
    """Yield what an answer is made of: its events, its lines, or all of it."""
    if content_type.startswith(EVENT_STREAM):
        yield from _events(body)
    elif content_type.startswith(JSON_LINES):
        end = 0
        for line in body.splitlines(keepends=True):
            end += len(line)
            if line.strip():
                yield _piece(line.decode(errors="replace"), end, must_be_json=True)
    elif body.strip():
        yield _piece(body.decode(errors="replace"), len(body), must_be_json=not _is_text(content_type))


def _events(body: bytes) -> Iterator[Piece]:
    """Yield the events of a stream that have data, but for its end mark."""
    data: list[str] = []
    event, end = "", 0
    for line in (*body.splitlines(keepends=True), b"\n"):
        end = min(end + len(line), len(body))
        name, _, value = line.decode(errors="replace").rstrip("\r\n").partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
        elif name == "event":
            event = value.strip()
        elif not name and not value:
            text = "\n".join(data)
            if data and text.strip() != DONE:
                yield _piece(text, end, event=event)
            data, event = [], ""


def _piece(text: str, end: int, *, must_be_json: bool = False, event: str = "") -> Piece:
    try:
        return Piece(parse_json(text), end, event)
    except ValueError:
        return Piece(text, end, event, broken=must_be_json or text.lstrip()[:1] in {"{", "["})


def _is_text(content_type: str) -> bool:
    """Return whether an answer is said to be a text; a page of HTML is what a proxy sends in its place."""
    return content_type.startswith("text/") and not content_type.startswith(("text/html", EVENT_STREAM))


def _strings(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield the texts in a JSON value, each with where it stands."""
    match value:
        case str():
            yield place, value
        case dict():
            for name, each in value.items():
                yield from _strings(each, (*place, name))
        case list():
            for number, each in enumerate(value):
                yield from _strings(each, (*place, number))


def _told(said: Any, body: bytes) -> str:
    """Return what an error says of itself, else the body."""
    problem = said.get("error") if isinstance(said, dict) else None
    for each in (problem, said):
        if text := _text(each.get("message") if isinstance(each, dict) else None):
            return beginning(text, SHOWN_CHARS)
    return beginning(text, SHOWN_CHARS) if (text := _text(problem)) else _shown(body)


def _type_of(said: Any) -> str | None:
    """Return the type that an error gives itself."""
    if not isinstance(said, dict):
        return None
    inner = said.get("error")
    nested = inner if isinstance(inner, dict) else {}
    return next(
        filter(None, map(_text, (said.get("error_type"), nested.get("code"), nested.get("type")))), None
    )


def _text(value: Any) -> str | None:
    """Return what says something."""
    return value if isinstance(value, str) and value else None


def _shown(body: bytes) -> str:
    return beginning(body.decode(errors="replace") or "(empty body)", SHOWN_CHARS)
