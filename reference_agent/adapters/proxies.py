"""Sends by the proxies that the environment names: httpx leaves that out where the transport is given."""

from __future__ import annotations

from urllib.request import getproxies, proxy_bypass

import httpx

from reference_agent.adapters.cancelling import CancelSafeTransport


class ByEnvironment(httpx.AsyncBaseTransport):
    """Sends a request straight, or by the proxy for its scheme, unless `NO_PROXY` has its host.

    `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are read once, as the standard library reads them.

    Args:
        limits: of the connections of each way; more of them than there are calls at once.
    """

    def __init__(self, limits: httpx.Limits) -> None:
        self._limits = limits
        self._trusted = httpx.create_ssl_context()
        self._proxies = {kind: url for kind, url in getproxies().items() if url}
        self._ways: dict[str | None, httpx.AsyncBaseTransport] = {None: self._way(None)}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        proxy = self._proxy(request.url)
        if proxy not in self._ways:
            self._ways[proxy] = self._way(proxy)
        return await self._ways[proxy].handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        for way in self._ways.values():
            await way.aclose()

    def _proxy(self, url: httpx.URL) -> str | None:
        if not self._proxies:
            return None
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        return None if proxy is None or proxy_bypass(url.netloc.decode("ascii")) else proxy

    def _way(self, proxy: str | None) -> httpx.AsyncBaseTransport:
        named = proxy if proxy is None or "://" in proxy else f"http://{proxy}"
        return CancelSafeTransport(
            lambda: httpx.AsyncHTTPTransport(verify=self._trusted, limits=self._limits, proxy=named)
        )
