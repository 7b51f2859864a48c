"""Keeps others' pages from using Locust's: whoever opens one has a browser that would start a test for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import flask
from flask.typing import ResponseReturnValue

from harness.outside.strangers import refusal

if TYPE_CHECKING:  # importing Locust patches the process
    from locust.web import WebUI


View = Callable[[], ResponseReturnValue]


def behind_login(web_ui: WebUI, view: View) -> View:
    """Return a view that asks for a login where Locust's page does (`--web-login`)."""
    guarded: View = web_ui.auth_required_if_enabled(view)
    return guarded


def install(web_ui: WebUI) -> None:
    """Let Locust's page refuse what a page of somebody else asks."""
    if web_ui.app is None:
        return

    @web_ui.app.before_request
    def check() -> flask.Response | None:
        why = refusal(flask.request.method, flask.request.path, dict(flask.request.headers))
        return None if why is None else flask.Response(f"{why}\n", 403, content_type="text/plain")
