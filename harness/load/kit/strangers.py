"""Keeps others' pages from using Locust's: whoever opens one has a browser that would start a test for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import flask

from harness.outside.headers import is_near

if TYPE_CHECKING:  # importing Locust patches the process
    from locust.web import WebUI


def install(web_ui: WebUI) -> None:
    """Let Locust's page refuse what a page of somebody else asks."""
    if web_ui.app is None:
        return

    @web_ui.app.before_request
    def check() -> flask.Response | None:
        why = refusal(flask.request.method, flask.request.path, dict(flask.request.headers))
        return None if why is None else flask.Response(f"{why}\n", 403, content_type="text/plain")


def refusal(method: str, path: str, headers: Mapping[str, str]) -> str | None:
    """Say why a request is not for this page, None when it is.

    Args:
        method: of HTTP.
        path: asked for.
        headers: named as `Sec-Fetch-Site` is.
    """
    host = headers.get("Host", "")
    if not is_near(host):
        return f"this page is not called {host}: use localhost, or the machine's IP address"
    origin = headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return "another page's request is not answered"
    opens = method == "GET" and path == "/"
    if headers.get("Sec-Fetch-Site") == "cross-site" and not opens:
        return "another page's request is not answered"
    return None
