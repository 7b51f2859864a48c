"""`[request]` of an agentrig.toml: how an agent is asked, and what its answers say."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from harness.asking.answer import ErrorRule
from harness.asking.json_path import parse
from harness.asking.request import places_of
from harness.contract import INVOCATIONS, REQUEST_HEADER, SESSION_HEADER
from harness.errors import InputError
from harness.outside.headers import problem_of
from harness.outside.secrets import of_environment, remember, remember_prompts
from harness.outside.text import parse_json, read_text
from harness.simulator_config import Strict
from harness.under_test import (
    ASKED_PLACE,
    ASKED_PLACES,
    FROM_ENVIRONMENT,
    HttpRequest,
    Opening,
    RequestShape,
    with_environment,
)
from harness.wrong_keys import suggest

PathOf = Annotated[str, Field(pattern=r"^/[!-~]*$")]
"""A path of the agent's HTTP interface."""
Method = Literal["GET", "POST", "PUT", "PATCH"]
MOST_PROMPTS: Final = 100_000
LONGEST_PROMPT: Final = 100_000


class TextLineError(ValueError):
    """Something is wrong inside a text of several lines.

    Attributes:
        line: of the text, from 1.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class HttpTable(Strict):
    """A request to the agent, with places: {prompt}, {session} and {request}, which is the request's id.

    Attributes:
        method: GET, POST, PUT or PATCH.
        path: where it goes.
        query: is added to the path.
        body: a JSON value: a table, or a text of JSON.
        form: in its place, the fields of a form.
    """

    method: Method = "POST"
    path: PathOf = INVOCATIONS
    query: Mapping[str, str] = {}
    body: Any = None
    form: Mapping[str, str] = {}

    @field_validator("body", mode="before")
    @classmethod
    def _read(cls, body: Any) -> Any:
        if not isinstance(body, str):
            return body
        try:
            return parse_json(body)
        except json.JSONDecodeError as error:
            message = f"is not JSON: {error.msg[:1].lower()}{error.msg[1:]}, at column {error.colno}"
            raise TextLineError(message, error.lineno) from error

    @field_validator("path", "query", "body", "form")
    @classmethod
    def _places(cls, value: Any) -> Any:
        try:
            places = places_of(value)
        except RecursionError as error:
            msg = "it is nested too deeply"
            raise ValueError(msg) from error
        for place in places:
            if place not in ASKED_PLACES:
                known = ", ".join(f"{{{name}}}" for name in ASKED_PLACES)
                msg = (
                    f"there is no place {{{place}}}{suggest(place, ASKED_PLACES)} There are {known}; what "
                    f"is meant as it stands has two braces on each side"
                )
                raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.form and self.body is not None:
            msg = "give body or form, not both"
            raise ValueError(msg)
        return self

    def request(self) -> HttpRequest:
        """Return what the stages are told."""
        return HttpRequest(
            method=self.method,
            path=self.path,
            query=dict(self.query),
            body=self.body,
            form=dict(self.form),
        )


class OpenTable(HttpTable):
    """`[request.open]`: what is asked before the first turn of a session.

    Attributes:
        session: path in its answer to the session's id; without one, the {session} that it was given holds.
    """

    session: str = ""

    @field_validator("session")
    @classmethod
    def _path(cls, path: str) -> str:
        if path:
            parse(path)
        return path


class RequestTable(HttpTable):
    """`[request]`: how the agent is asked.

    Attributes:
        prompt_field: for the usual body: the key that holds the prompt.
        answer: path of the text in the JSON answer, or in each event of a stream: `message.parts[0].text`. An
            answer without is an error then.
        answer_field: the same for a text that a single key holds.
        error_when: rules that say which answers of a 2xx status are errors, in place of the usual ones.
        stream: whether a stream of events is asked for (`Accept: text/event-stream`).
        open: what opens a session before its first turn.
        session_header: the header that carries the session's id; empty when there are no sessions.
        request_header: the header that carries the request's id.
        headers: what else is sent. `${NAME}` stands for a variable of your environment: no secret in here.
        prompts: a file of prompts, one a line, relative to this one; made-up questions by default.
    """

    prompt_field: Annotated[str, Field(min_length=1)] = "prompt"
    answer: str = ""
    answer_field: str = ""
    error_when: tuple[str, ...] = ()
    stream: bool = False
    open: OpenTable | None = None
    session_header: str = SESSION_HEADER
    request_header: str = REQUEST_HEADER
    headers: Mapping[str, str] = {}
    prompts: str = ""

    @field_validator("answer")
    @classmethod
    def _answer_path(cls, path: str) -> str:
        if path:
            parse(path)
        return path

    @field_validator("error_when", mode="before")
    @classmethod
    def _one_rule(cls, rules: Any) -> Any:
        return (rules,) if isinstance(rules, str) else rules

    @field_validator("error_when")
    @classmethod
    def _rules(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        for rule in rules:
            try:
                ErrorRule.of(rule)
            except ValueError as error:
                msg = f"{rule!r} {error}"
                raise ValueError(msg) from error
        return rules

    @field_validator("session_header", "request_header")
    @classmethod
    def _named(cls, name: str) -> str:
        if name and (problem := problem_of(name)):
            raise ValueError(problem)
        return name

    @field_validator("headers")
    @classmethod
    def _set(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in headers.items():
            names = FROM_ENVIRONMENT.findall(value)
            for found in names:
                if found not in os.environ:
                    msg = f"{name} needs the variable {found}, which is not set"
                    raise ValueError(msg)
            if problem := problem_of(name, with_environment(value, os.environ)):
                msg = f"{problem}; it is from {' and '.join(names)}" if names else problem
                raise ValueError(msg)
        return headers

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        told = self.model_fields_set
        if "prompt_field" in told and (self.body is not None or self.form):
            msg = "prompt_field is for the usual body: put {prompt} into body or form, and leave it out"
            raise ValueError(msg)
        if self.answer and self.answer_field:
            msg = "answer and answer_field say the same: give one of them"
            raise ValueError(msg)
        if "prompt" not in places_of(self._whole_request()):
            msg = "nothing in it holds {prompt}: put that into body, form, query or path"
            raise ValueError(msg)
        return self

    def secrets(self) -> dict[str, str]:
        """Return what must be kept nowhere, by the name of the variable, the header or the key."""
        asked = [super().request(), *([self.open.request()] if self.open else [])]
        return secrets_of(self.headers, asked)

    def shape(self, folder: Path) -> RequestShape:
        """Return what the stages are told; its secrets and prompts are hidden in what is kept from then on.

        Args:
            folder: of the file.

        Raises:
            InputError: the file of prompts can't be read, or holds none.
        """
        remember(self.secrets().values())
        return RequestShape(
            request=self.request(),
            opening=Opening(request=self.open.request(), session=self.open.session) if self.open else None,
            answer=self.answer or (f'["{self.answer_field}"]' if self.answer_field else ""),
            error_when=self.error_when,
            session_header=self.session_header,
            request_header=self.request_header,
            headers=dict(self.headers),
            stream=self.stream,
            prompts=read_prompts(folder / self.prompts) if self.prompts else (),
        )

    def request(self) -> HttpRequest:
        """Return the request that asks a prompt."""
        made = super().request()
        return made if made.form else replace(made, body=self._body())

    def _body(self) -> Any:
        if self.body is not None or self.method == "GET":
            return self.body
        return {self.prompt_field: "{prompt}"}

    def _whole_request(self) -> Any:
        return [self.path, dict(self.query), dict(self.form) or self._body()]


def secrets_of(headers: Mapping[str, str], requests: Iterable[HttpRequest]) -> dict[str, str]:
    """Return what of some requests must be kept nowhere, by the name of the variable, the header or the key.

    What a header takes from the environment is always a secret; what is written out is one by its name.
    """
    values = headers.values()
    taken = {name: os.environ.get(name, "") for each in values for name in FROM_ENVIRONMENT.findall(each)}
    written = [(name, value) for name, value in headers.items() if "${" not in value]
    for each in requests:
        written += [("path", each.path), *_texts([dict(each.query), dict(each.form), each.body])]
    told: dict[str, str] = {}
    for number, (name, value) in enumerate(written):  # a name may be there twice
        found = of_environment({name: value}).items()
        told |= {key if key not in told else f"{key} ({number})": each for key, each in found}
    return {name: value for name, value in told.items() if not ASKED_PLACE.search(value)} | taken


def remember_shape(shape: RequestShape) -> None:
    """Have the secrets and prompts of a shape hidden in what is kept from then on: it was made elsewhere."""
    requests = [shape.request, *([shape.opening.request] if shape.opening else [])]
    remember(secrets_of(shape.headers, requests).values())
    remember_prompts(shape.prompts)


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts of a JSON value, each with its key."""
    match value:
        case str():
            yield name, value
        case dict():
            for key, each in value.items():
                yield from _texts(each, key)
        case list():
            for each in value:
                yield from _texts(each, name)


def read_prompts(file: Path) -> tuple[str, ...]:
    """Read a file of prompts: one a line; a line that is a JSON string may hold any character.

    They are hidden in all that is kept from then on.

    Raises:
        InputError: it can't be read, or holds none.
    """
    lines = read_text(file, "See request.prompts.").splitlines()
    prompts = tuple(_prompts(file, lines))
    if not prompts or len(prompts) > MOST_PROMPTS:
        raise InputError(f"{file}: has {len(prompts)} prompts; give 1 to {MOST_PROMPTS}, one a line.")
    remember_prompts(prompts)
    return prompts


def _prompts(file: Path, lines: Iterable[str]) -> Iterable[str]:
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        if text.startswith('"'):
            try:
                text = parse_json(text)
            except ValueError as error:
                raise InputError(f"{file}:{number}: begins as a JSON string and is none.") from error
        if len(text) > LONGEST_PROMPT:
            raise InputError(f"{file}:{number}: is longer than {LONGEST_PROMPT} characters.")
        yield text
