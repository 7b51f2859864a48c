"""Which requests to a page of ours are another page's: whoever opens that has a browser that would ask."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

PRIVATE: Final = (".localhost", ".local", ".internal", ".svc", ".svc.cluster.local")
"""Ends of names that nobody can register: one that can be may be made to mean this machine."""


def refusal(method: str, path: str, headers: Mapping[str, str]) -> str | None:
    """Say why a request is not for this page, None when it is.

    Args:
        method: of HTTP.
        path: asked for.
        headers: named as `Sec-Fetch-Site` is.
    """
    host = headers.get("Host", "")
    if not _is_near(host):
        return f"this page is not called {host}: use localhost, or the machine's IP address"
    origin = headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return "another page's request is not answered"
    opens = method == "GET" and path == "/"
    if headers.get("Sec-Fetch-Site") == "cross-site" and not opens:
        return "another page's request is not answered"
    return None


def _is_near(host: str) -> bool:
    """Return whether a host is an address, or a name that cannot be somebody else's."""
    with suppress(ValueError):
        name = urlsplit(f"//{host}").hostname or ""
        with suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return bool(name) and ("." not in name or name.endswith(PRIVATE))
    return False
