"""What a header of a request may be, and an address."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
FRAMING: Final = ("content-length", "transfer-encoding")
"""Headers that say where the request ends: that is for whoever sends it to say."""

PRIVATE: Final = (".localhost", ".local", ".internal", ".svc", ".svc.cluster.local")
"""Ends of names that nobody can register: one that can be may be made to mean this machine."""


def is_near(host: str) -> bool:
    """Return whether the host of a request is an address, or a name that cannot be somebody else's."""
    with suppress(ValueError):
        name = urlsplit(f"//{host}").hostname or ""
        with suppress(ValueError):
            ipaddress.ip_address(name)
            return True
        return bool(name) and ("." not in name or name.endswith(PRIVATE))
    return False


def is_address(url: str) -> bool:
    """Return whether something is the address of a service that speaks HTTP."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no port that there can be, or half an IPv6 address
        return False


def problem_of(name: str, value: str = "") -> str | None:
    """Say why a header can't be sent, None when it can. Never shows the value: it may be a secret."""
    if not NAME.fullmatch(name):
        return f"{name!r} can't name a header"
    if name.lower() in FRAMING:
        return f"the header {name} is for the load to say"
    if VALUE.fullmatch(value):
        return None
    if value.endswith(("\n", "\r")):
        return f"the value of {name} ends in a newline"
    return f"the value of {name} has a character that no header can have"
