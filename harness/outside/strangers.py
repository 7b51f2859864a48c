"""Which requests to a page of ours are another page's: whoever opens that has a browser that would ask."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from harness.outside.headers import is_near


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
