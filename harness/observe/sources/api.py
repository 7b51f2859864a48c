"""The client of a store's HTTP API."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import httpx

from harness.errors import InputError
from harness.outside.http import control_client
from harness.outside.secrets import in_addresses, remember

DEADLINE_S: Final = 60.0
MOST_BYTES: Final = 256 * 1024 * 1024


def client_of(kind: str, address: str, example: str) -> httpx.Client:
    """Return a client for an address.

    Args:
        kind: of the source, for the message.
        address: of its API.
        example: of one.

    Raises:
        InputError: it is no address of plain HTTP.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError as error:
        raise InputError(f"{kind}{address}: {error}. Give one such as {kind}{example}.") from error
    del port
    if parts.scheme == "https":
        raise InputError(
            f"{kind}{address}: only http is spoken here. Forward a port (kubectl port-forward, ssh -L), and "
            f"give {kind}{example}."
        )
    if parts.scheme != "http" or not parts.hostname:
        raise InputError(f"{kind}{address}: is no address. Give one such as {kind}{example}.")
    remember(in_addresses(address))
    return control_client(DEADLINE_S, base_url=address.rstrip("/"), most_bytes=MOST_BYTES)
