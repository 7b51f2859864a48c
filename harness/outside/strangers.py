"""Which requests to a page of ours are another page's: whoever opens that has a browser that would ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from harness.outside.headers import is_near

OWN_SITES: Final = ("same-origin", "none")
"""What browsers send for the page itself, and for the person at the browser."""


def refusal(method: str, path: str, headers: Mapping[str, str]) -> str | None:
    """Say why a request is not for this page, None when it is.

    Args:
        method: of HTTP.
        path: asked for.
        headers: by name, in any case.
    """
    headers = {name.title(): value for name, value in headers.items()}
    host = headers.get("Host", "")
    if not is_near(host):
        return f"this page is not called {host}: use localhost, or the machine's IP address"
    opens = method == "GET" and path == "/"
    site = None if opens else headers.get("Sec-Fetch-Site")
    return (
        "another page's request is not answered" if is_anothers(host, headers.get("Origin"), site) else None
    )


def refusal_to_read(scope: Mapping[str, Any]) -> str | None:
    """Say why a page that is only read is not for whoever asks for it, None when it is.

    A page of another may link to it: who follows the link reads it, and that page doesn't.

    Args:
        scope: the request, of ASGI.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    headers.pop("sec-fetch-site", None)
    return refusal(scope["method"], scope["path"], headers)


def is_anothers(host: str, origin: str | None, site: str | None) -> bool:
    """Return whether a browser sends a request for another page than the one that is asked.

    A page of another port here is another page, too: it is of the same site, not of the same origin.

    Args:
        host: that is asked.
        origin: the header of that name; None where it is not sent, as by programs.
        site: likewise `Sec-Fetch-Site`.
    """
    if site is not None and site not in OWN_SITES:
        return True
    try:
        return origin is not None and urlsplit(origin).netloc != host
    except ValueError:
        return True
