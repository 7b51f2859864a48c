"""Sends by the proxies that the environment names: httpx leaves that out where the transport is given."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final
from urllib.request import getproxies, proxy_bypass

import httpx

from reference_agent.adapters.cancelling import CancelSafeTransport

NAMES: Final = "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"


class ByEnvironment(httpx.AsyncBaseTransport):
    """Sends a request straight, or by the proxy for its scheme, unless `NO_PROXY` has its host.

    `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are read once, as the standard library reads them.

    Args:
        limits: of the connections of each way; more of them than there are calls at once.
    """

    def __init__(self, limits: httpx.Limits) -> None:
        self._limits = limits
        self._trusted = httpx.create_ssl_context()
        self._proxies = _named()
        self._ways: dict[str | None, httpx.AsyncBaseTransport] = {None: self._way(None)}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        proxy = _proxy(self._proxies, request.url)
        if proxy not in self._ways:
            self._ways[proxy] = self._way(proxy)
        return await self._ways[proxy].handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        for way in self._ways.values():
            await way.aclose()

    def _way(self, proxy: str | None) -> httpx.AsyncBaseTransport:
        return CancelSafeTransport(
            lambda: httpx.AsyncHTTPTransport(verify=self._trusted, limits=self._limits, proxy=proxy)
        )


def check_proxy(url: httpx.URL) -> None:
    """Look whether the proxy that the environment names for an address can be used, if there is one.

    Raises:
        ValueError: it can't. Its address is not quoted: there may be a password in it.
    """
    named = _proxy(_named(), url)
    if named is None:
        return
    try:
        proxy = httpx.Proxy(named)
    except (ValueError, httpx.InvalidURL):
        proxy = None
    if proxy is None or not proxy.url.host:
        raise ValueError(f"{NAMES}: give the proxy as http://host:port")
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ValueError(f"{NAMES}: for a SOCKS proxy, pip install 'httpx[socks]'")


def _named() -> dict[str, str]:
    return {kind: url for kind, url in getproxies().items() if url}


def _proxy(proxies: Mapping[str, str], url: httpx.URL) -> str | None:
    if not proxies:
        return None
    named = proxies.get(url.scheme) or proxies.get("all")
    if named is None or proxy_bypass(url.netloc.decode("ascii")):
        return None
    return named if "://" in named else f"http://{named}"
