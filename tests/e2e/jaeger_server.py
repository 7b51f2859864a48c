"""A real Jaeger with the committed configuration, on a loopback address of its own."""

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.process.child import Child
from tests.e2e.agents import CLOCK
from tests.e2e.asking import HTTP
from tests.e2e.waiting import DEADLINE_S, until

CONFIG = Path(__file__).parents[2] / "dashboards" / "jaeger" / "config.yaml"
ALL = 20_000
"""As many traces as Jaeger keeps; to ask for more is an error."""


def require_jaeger() -> None:
    """Without the program the tests are skipped, but not in CI."""
    if shutil.which("jaeger") is None:
        how = 'jaeger is not on the PATH; build it: PATH="$(dirname "$(.ci/jaeger/build)"):$PATH"'
        assert "CI" not in os.environ, how
        pytest.skip(how)


@dataclass(frozen=True)
class Jaeger:
    """One that runs.

    Attributes:
        host: its address; the ports on it are the usual ones, which `--jaeger` relies on.
    """

    host: str

    @property
    def page(self) -> str:
        return f"http://{self.host}:16686"

    def get(self, path: str, **asked: Any) -> Any:
        """Ask the API that its page asks; what it cannot answer is a failure that says why."""
        answer = HTTP.get(f"{self.page}/api/{path}", params=asked or None, timeout=DEADLINE_S)
        assert answer.status_code == 200, f"{path} {asked}: {answer.text}"
        return answer.json()

    def search(self, service: str, **asked: Any) -> list[dict[str, Any]]:
        return list(self.get("traces", service=service, **{"limit": ALL, **asked})["data"])


@contextmanager
def jaeger(folder: Path, prometheus_url: str, host: str) -> Iterator[Jaeger]:
    """Run one that is ready; gone afterwards.

    Args:
        folder: for its log.
        prometheus_url: where its service-performance tab gets its figures.
        host: loopback address to listen on.
    """
    env = {"JAEGER_HOST": host, "PROMETHEUS_URL": prometheus_url, "PATH": os.environ["PATH"]}
    child = Child("jaeger", ["jaeger", "--config", str(CONFIG)], env, folder, CLOCK)
    child.start()
    server = Jaeger(host)
    try:
        until("Jaeger ready", lambda: _ready(child, host))
        yield server
    finally:
        child.stop(DEADLINE_S)


def own_host() -> str:
    """Return an address of 127.0.0.0/8 that nobody else is likely to listen on."""
    drawn = random.SystemRandom()
    return f"127.{drawn.randint(1, 254)}.{drawn.randint(0, 254)}.{drawn.randint(1, 254)}"


def _ready(child: Child, host: str) -> bool:
    child.check()
    try:
        return HTTP.get(f"http://{host}:13133/status").status_code == 200
    except httpx.TransportError:
        return False
