"""Pages that are only read: the figures of `observe`, the counts of the capture, the page of traces."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from harness.capture.frames import FrameWriter
from harness.capture.receiver import Receiver, ReceiverStats
from harness.clock import FakeClock
from harness.observe.serving import App, page
from harness.traces.pages import Pages
from harness.traces.server import TracesApp
from tests.harness.traces.some import span, store

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def capture(folder: Path) -> App:
    files = FrameWriter(folder / "traces.raw"), FrameWriter(folder / "metrics.raw")
    return Receiver(*files, clock=FakeClock(), stats=ReceiverStats())


PAGES: dict[str, Callable[[Path], App]] = {
    "/metrics": lambda _: page(lambda: b"secret_figure 1\n"),
    "/stats": capture,
    "/": lambda _: TracesApp(Pages(store(span(1, 1)), "of a test")),
}
OTHERS = [
    {"host": "evil.example:9464"},
    {"host": "evil.example", "origin": "http://evil.example"},
    {"host": "127.0.0.1:9464", "origin": "http://evil.example"},
    {"host": "localhost:9464", "origin": "http://localhost:3000"},
    {"host": "localhost", "origin": "null"},
    {"host": ""},
]
OWN = [
    {"host": "127.0.0.1:9464"},
    {"host": "[::1]:9464"},
    {"host": "agentrig"},
    {"host": "agentrig.monitoring.svc:9464"},
    {"host": "localhost:9464", "origin": "http://localhost:9464"},
    {"host": "localhost:9464", "sec-fetch-site": "cross-site"},  # a link, and a person who follows it
]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("headers", "status"), [*((each, 403) for each in OTHERS), *((each, 200) for each in OWN)]
)
async def test_a_page_of_somebody_else_reads_none(
    path: str, headers: dict[str, str], status: int, tmp_path: Path
) -> None:
    transport = httpx.ASGITransport(PAGES[path](tmp_path))  # type: ignore[arg-type]  # httpx's own words for ASGI
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.get(path, headers=headers)
    assert answer.status_code == status, answer.text
