import json
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from harness.asking.request import asked, headers_of
from harness.under_test import HttpRequest, RequestShape

VALUES = {"prompt": 'say "hi", {session} & \\ more\n', "session": "s/1?x=2", "request": "r-1"}


def test_values_are_put_in_as_json_and_never_change_its_form() -> None:
    template = {"newMessage": {"parts": [{"text": "{prompt}"}]}, "id": "a {session} b", "n": 3, "on": True}
    made = asked(HttpRequest(path="/run", body=template), VALUES)
    assert json.loads(made.body) == {
        "newMessage": {"parts": [{"text": VALUES["prompt"]}]},
        "id": "a s/1?x=2 b",
        "n": 3,
        "on": True,
    }
    assert (made.method, made.target) == ("POST", "/run")


def test_a_value_that_holds_a_place_is_not_filled_again() -> None:
    made = asked(HttpRequest(body={"a": "{prompt}"}), {**VALUES, "prompt": "{session}{{session}}"})
    assert json.loads(made.body) == {"a": "{session}{{session}}"}


def test_what_is_in_two_braces_is_sent_in_one() -> None:
    made = asked(HttpRequest(body={"a": "{{city}} {prompt} {not a place}"}), {**VALUES, "prompt": "x"})
    assert json.loads(made.body) == {"a": "{city} x {not a place}"}


@given(prompt=st.text(), session=st.text())
def test_whatever_a_value_holds_it_stays_where_it_was_put(prompt: str, session: str) -> None:
    values = {"prompt": prompt, "session": session, "request": "r"}
    body = asked(HttpRequest(body={"a": ["{prompt}", {"b": "{session}"}]}), values).body
    assert json.loads(body) == {"a": [prompt, {"b": session}]}


@given(prompt=st.text(st.characters(exclude_categories=["Cs"])), session=st.text("a/?#&=% \r\n", min_size=1))
def test_paths_queries_and_forms_are_quoted(prompt: str, session: str) -> None:
    values = {"prompt": prompt, "session": session, "request": "r"}
    made = asked(HttpRequest(path="/s/{session}/x", query={"q": "{prompt}"}, form={"f": "{prompt}"}), values)
    parts = urlsplit(made.target)
    assert parts.path.count("/") == 3
    assert parse_qs(parts.query, keep_blank_values=True) == {"q": [prompt]}
    assert parse_qs(made.body.decode(), keep_blank_values=True) == {"f": [prompt]}
    assert not set(made.target) & set(" \r\n")


def test_the_headers_say_what_is_sent_and_what_is_asked_for() -> None:
    shape = RequestShape(headers={"Authorization": "Bearer ${T}"})
    assert headers_of(shape, shape.request) == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Authorization": "Bearer ${T}",
    }
    assert headers_of(RequestShape(stream=True), HttpRequest(form={"a": "b"})) == {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "text/event-stream",
    }
    assert "Content-Type" not in headers_of(shape, HttpRequest(method="GET"))
