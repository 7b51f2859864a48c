"""What the page's form sends when it starts a test: looked at first, so that a wrong one starts nothing."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import flask
from werkzeug.datastructures import ImmutableMultiDict, MultiDict

if TYPE_CHECKING:  # importing Locust patches the process
    from locust.web import WebUI

HOST = "host"


def starts_a_test() -> bool:
    """Return whether the request that is answered now is the form's."""
    return flask.request.method == "POST" and flask.request.path.endswith("/swarm")


def with_fields(fields: Mapping[str, str | None]) -> None:
    """Replace fields of the form that is answered now, or take them out where None stands in their place."""
    rest = [(name, value) for name, value in flask.request.form.items(multi=True) if name not in fields]
    given = [(name, value) for name, value in fields.items() if value is not None]
    flask.request.form = ImmutableMultiDict([*rest, *given])


def install(
    web_ui: WebUI,
    look: Callable[[], None],
    host_for: Callable[[str], str],
    problem: Callable[[MultiDict[str, str]], str | None],
) -> None:
    """Let the page refuse a form with which nothing could be sent, and say why.

    Args:
        web_ui: Locust's.
        look: is called before the page is shown: what it says of the host may be old.
        host_for: returns the host that one in the form means: a fleet may have been started again since.
        problem: says what is wrong with a form, None for nothing.
    """
    if web_ui.app is None:
        return

    @web_ui.app.before_request
    def check() -> flask.Response | None:
        if flask.request.method == "GET" and flask.request.path.endswith("/"):
            look()
        if not starts_a_test():
            return None
        if HOST in flask.request.form:
            with_fields({HOST: host_for(flask.request.form[HOST].strip())})
        why = problem(flask.request.form)
        if why is None:
            return None
        return flask.jsonify({"success": False, "message": why, HOST: flask.request.form.get(HOST)})


def options_with(options: Namespace, form: Mapping[str, str]) -> Namespace:
    """Return the options as Locust would have them after a form; texts stay texts."""
    known: dict[str, Any] = vars(options)
    return Namespace(**known | {name: value for name, value in form.items() if name in known})
