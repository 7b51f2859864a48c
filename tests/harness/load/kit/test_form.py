from argparse import Namespace
from types import SimpleNamespace
from typing import Any

import flask

from harness.load.kit import form


class Page:
    """A page with Locust's form, and what became of it."""

    def __init__(self, why: str | None = None) -> None:
        self.app = flask.Flask(__name__)
        self.started: list[dict[str, str]] = []
        self.looked = 0
        self.app.add_url_rule("/", view_func=lambda: "page")
        self.app.add_url_rule("/swarm", view_func=self.swarm, methods=["POST"])
        web_ui: Any = SimpleNamespace(app=self.app)
        form.install(
            web_ui, self.look, lambda host: "http://new" if host == "http://old" else host, lambda _: why
        )

    def look(self) -> None:
        self.looked += 1

    def swarm(self) -> dict[str, object]:
        self.started.append(flask.request.form.to_dict())
        return {"success": True}

    def post(self, **fields: str) -> Any:
        return self.app.test_client().post("/swarm", data=fields).json


def test_a_form_with_something_wrong_starts_nothing_and_says_why() -> None:
    page = Page("no service")
    assert page.post(host="") == {"success": False, "message": "no service", "host": ""}
    assert page.started == []


def test_the_address_of_a_fleet_that_was_started_again_is_the_new_one() -> None:
    page = Page()
    page.post(host=" http://old ", user_count="1")
    page.post(host="http://mine")
    assert [started["host"] for started in page.started] == ["http://new", "http://mine"]


def test_before_the_page_is_shown_the_fleet_is_looked_for() -> None:
    page = Page()
    page.app.test_client().get("/")
    assert page.looked == 1


def test_the_fields_of_a_form_are_options_where_there_are_such() -> None:
    assert form.options_with(Namespace(seed=1, p99_ms=None), {"p99_ms": "9", "other": "x"}) == Namespace(
        seed=1, p99_ms="9"
    )
