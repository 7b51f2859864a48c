"""The pages that a proxy in front of a provider answers with: HTML, whoever asks."""

from __future__ import annotations

from harness.simulator.reply import Reply, at_once
from harness.simulator.wire.protocol import Headers


def page(status: int, title: str, headers: Headers) -> Reply:
    """Return an HTML page in place of an answer."""
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return at_once(status, [(b"content-type", b"text/html"), *headers], body.encode())
