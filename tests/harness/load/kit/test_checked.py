from argparse import Namespace
from collections.abc import Collection
from typing import Any

import pytest

from harness.load.kit.checked import NO_SERVICE, problems, shape_of
from harness.under_test import HttpRequest

HERE = "http://127.0.0.1:8080"


def user(tasks: Collection[object] = (len,), host: str | None = None, request: Any = None) -> Any:
    return type("Lunch", (), {"tasks": list(tasks), "host": host, "request": request})


def found(*classes: Any, host: str | None = HERE, gone: Collection[str] = (), **options: Any) -> list[str]:
    return list(problems(classes, host, Namespace(**options), gone))


def test_a_test_in_order_has_no_problem() -> None:
    assert found(user(), num_users=1, spawn_rate=1.0) == []
    assert found(user(host="https://agent.example"), host=None) == []


@pytest.mark.parametrize("host", [None, ""])
def test_without_a_host_nothing_can_be_sent(host: str | None) -> None:
    assert found(user(), user(), host=host) == [NO_SERVICE]


@pytest.mark.parametrize("host", ["agent", "127.0.0.1:80", "ftp://a", "http://", "http://a:x", "http://a:0"])
def test_what_is_no_address_is_named(host: str) -> None:
    (said,) = found(user(), host=host)
    assert said.startswith(f"{host!r} is no address of a service")


def test_a_fleet_that_is_gone_is_named() -> None:
    (said,) = found(user(), gone={HERE})
    assert f"the fleet that `agentrig up` held at {HERE} is gone" in said


def test_a_class_that_tags_leave_nothing_of_is_named() -> None:
    (said,) = found(user(tasks=()))
    assert said.startswith("--tags and --exclude-tags leave nothing of Lunch")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"num_users": -1}, "--users"),
        ({"spawn_rate": 0.0}, "--spawn-rate"),
        ({"spawn_rate": float("nan")}, "--spawn"),
    ],
)
def test_numbers_with_which_locust_would_hang_are_named(options: dict[str, Any], word: str) -> None:
    (said,) = found(user(), **options)
    assert said.startswith(word)


def test_a_class_says_in_the_words_of_the_file_how_its_service_is_asked() -> None:
    asked = {"path": "/chat", "body": {"q": "{prompt}", "id": "{session}"}, "answer": "reply.text"}
    shape = shape_of(user(request=asked))
    assert shape is not None
    assert shape.request == HttpRequest(path="/chat", body={"q": "{prompt}", "id": "{session}"})
    assert (shape.answer, shape_of(user())) == ("reply.text", None)
    (said,) = found(user(request={"pth": "/chat"}))
    assert said.startswith("Lunch.request: pth: there is no such key; did you mean 'path'?")
