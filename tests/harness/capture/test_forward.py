import asyncio

import httpx
import pytest

from harness.capture.forward import Forwarder, post_to
from harness.capture.receiver import ReceiverStats

pytestmark = pytest.mark.anyio
HEADERS = {"content-type": "application/x-protobuf"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_each_request_is_sent_on_once() -> None:
    sent: list[tuple[bytes, dict[str, str]]] = []

    async def post(body: bytes, headers: dict[str, str]) -> int:
        sent.append((body, headers))
        return 200

    stats = ReceiverStats()
    forwarder = Forwarder(post, stats)
    forwarder.start()
    for number in range(5):
        forwarder.offer(b"%d" % number, HEADERS)
    await forwarder.close(grace_s=5.0)
    assert sorted(sent) == [(b"%d" % number, HEADERS) for number in range(5)]
    assert (stats.forwarded, stats.forward_failed) == (5, 0)


async def test_refusals_and_lost_connections_are_counted_and_passed_over() -> None:
    async def post(body: bytes, headers: dict[str, str]) -> int:
        if body == b"lost":
            raise httpx.ConnectError("refused")
        return 503 if body == b"refused" else 200

    stats = ReceiverStats()
    forwarder = Forwarder(post, stats)
    forwarder.start()
    for body in (b"lost", b"refused", b"taken"):
        forwarder.offer(body, HEADERS)
    await forwarder.close(grace_s=5.0)
    assert (stats.forwarded, stats.forward_failed) == (1, 2)


async def test_a_full_queue_never_blocks_and_counts_what_it_drops() -> None:
    stats = ReceiverStats()

    async def post(body: bytes, headers: dict[str, str]) -> int:
        return 200

    forwarder = Forwarder(post, stats, max_queued=2)
    for _ in range(5):
        forwarder.offer(b"", HEADERS)
    assert stats.forward_failed == 3
    forwarder.start()
    await forwarder.close(grace_s=5.0)
    assert (stats.forwarded, stats.forward_failed) == (2, 3)


async def test_closing_gives_up_on_a_receiver_that_hangs() -> None:
    async def post(body: bytes, headers: dict[str, str]) -> int:
        return await asyncio.Future[int]()

    stats = ReceiverStats()
    forwarder = Forwarder(post, stats)
    forwarder.start()
    for _ in range(5):
        forwarder.offer(b"", HEADERS)
    await asyncio.wait_for(forwarder.close(grace_s=0.0), 5.0)
    assert (stats.forwarded, stats.forward_failed) == (0, 5)


async def test_the_copy_goes_to_the_traces_path_with_the_headers_it_came_with() -> None:
    seen: list[httpx.Request] = []

    def jaeger(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202, stream=httpx.ByteStream(b""))

    async with httpx.AsyncClient(transport=httpx.MockTransport(jaeger)) as client:
        post = post_to(client, "http://jaeger:4318/")
        assert await post(b"body", HEADERS | {"content-encoding": "gzip"}) == 202
    (request,) = seen
    assert str(request.url) == "http://jaeger:4318/v1/traces"
    assert (request.content, request.headers["content-encoding"]) == (b"body", "gzip")


async def test_a_store_that_asks_for_a_token_gets_it() -> None:
    seen: list[httpx.Request] = []

    def store(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b""))

    async with httpx.AsyncClient(transport=httpx.MockTransport(store)) as client:
        await post_to(client, "https://traces.example", {"x-token": "a", "content-type": "no"})(b"", HEADERS)
    assert seen[0].headers["x-token"] == "a"
    assert seen[0].headers["content-type"] == HEADERS["content-type"]
