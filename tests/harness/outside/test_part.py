"""A part of the harness that is told things, with the token that it asks for beyond loopback."""

import httpx
import pytest

from harness.errors import StartError
from harness.outside import http
from harness.outside.http import Part

BEYOND = Part(url="http://172.31.0.1:8081", token="a-token")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        allowed = request.headers.get("authorization") == "Bearer a-token" or request.url.host == "127.0.0.1"
        return httpx.Response(200 if allowed else 401, json={"attempts": 2})

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(http, "_BoundedTransport", lambda *_: transport)
    return requests


def test_it_is_told_with_its_token(seen: list[httpx.Request]) -> None:
    BEYOND.tell("PATCH", "/sim/config", json={"seed": 7})
    assert BEYOND.told("/sim/stats") == {"attempts": 2}
    assert [str(each.url) for each in seen] == [f"{BEYOND.url}/sim/config", f"{BEYOND.url}/sim/stats"]
    assert seen[0].content == b'{"seed":7}'


def test_on_loopback_it_asks_for_none(seen: list[httpx.Request]) -> None:
    assert Part(url="http://127.0.0.1:8081").told("/sim/stats") == {"attempts": 2}
    assert "authorization" not in seen[0].headers


@pytest.mark.usefixtures("seen")
def test_what_it_does_not_take_is_told_without_the_token() -> None:
    stranger = Part(url=BEYOND.url, token="another")
    with pytest.raises(StartError, match="401") as caught:
        stranger.tell("PATCH", "/sim/config", json={})
    assert "another" not in f"{caught.value}{stranger!r}"
