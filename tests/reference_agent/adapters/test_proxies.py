"""Which way a request goes."""

from typing import Any

import httpx
import pytest

from reference_agent.adapters import proxies
from reference_agent.adapters.proxies import ByEnvironment
from tests.reference_agent.rig import run

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Way(httpx.AsyncBaseTransport):
    """Says by which proxy it sends."""

    def __init__(self, *, proxy: str | None, verify: Any, limits: Any) -> None:
        self.proxy = proxy
        self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=str(self.proxy))

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.parametrize(
    ("environment", "url", "expected"),
    [
        ({}, "https://model.example/v1", "None"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "https://model.example/v1", "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://model.example/v1", "None"),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://model.example/v1", "http://proxy:3128"),
        ({"ALL_PROXY": "http://proxy:3128"}, "https://model.example/v1", "http://proxy:3128"),
        ({"HTTPS_PROXY": "proxy:3128"}, "https://model.example/v1", "http://proxy:3128"),
        ({"HTTPS_PROXY": ""}, "https://model.example/v1", "None"),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "model.example"}, "https://model.example/v1", "None"),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": ".example"}, "https://model.example/v1", "None"),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "a,127.0.0.1"}, "https://127.0.0.1:8443/v1", "None"),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "*"}, "https://model.example/v1", "None"),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "other"}, "https://model.example/v1", "http://p"),
    ],
)
@pytest.mark.parametrize("lower", [False, True])
def test_a_request_goes_as_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, expected: str, *, lower: bool
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name.lower() if lower else name, value)
    monkeypatch.setattr(proxies.httpx, "AsyncHTTPTransport", Way)

    async def work() -> str:
        async with httpx.AsyncClient(transport=ByEnvironment(httpx.Limits())) as http:
            return (await http.get(url)).text

    assert run(work()) == expected
