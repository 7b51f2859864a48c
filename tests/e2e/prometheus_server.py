"""A real Prometheus with the committed configuration, on a port of its own and a faster clock."""

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from harness.fleet.ports import HOST, Ports
from harness.process.child import Child
from tests.e2e.agents import CLOCK
from tests.e2e.asking import HTTP
from tests.e2e.waiting import DEADLINE_S, until

CONFIG = Path(__file__).parents[2] / "dashboards" / "prometheus"


def require_prometheus() -> None:
    """Without the program the tests are skipped, but not in CI."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        assert "CI" not in os.environ, "prometheus is not installed: apt-get install prometheus"
        pytest.skip("prometheus is not installed")


@dataclass(frozen=True)
class Prometheus:
    """One that runs.

    Attributes:
        url: of its page.
        start_s: Unix time of its start.
        folder: of the run that it watches.
    """

    url: str
    start_s: float
    folder: Path

    def get(self, path: str, **asked: Any) -> Any:
        """Ask its API; an error of the expression is a failure that says what it is."""
        answer = HTTP.get(f"{self.url}/api/v1/{path}", params=asked, timeout=DEADLINE_S)
        assert answer.status_code == 200, f"{asked}: {answer.text}"
        return answer.json()["data"]

    def lines(self, expr: str) -> list[dict[str, Any]]:
        """Return what an expression was, second by second, since the start."""
        found = self.get("query_range", query=expr, start=self.start_s, end=time.time(), step=1)
        return list(found["result"])


def configured(targets: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the committed configuration with other targets, scraped each second; without those not named.

    A watch of what runs is in none of its places: it is a job like that of docs/production.md.
    """
    config: dict[str, Any] = yaml.safe_load((CONFIG / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(CONFIG / name) for name in config["rule_files"]]
    jobs = [*config["scrape_configs"], {"job_name": "observe"}]
    config["scrape_configs"] = [job for job in jobs if job["job_name"] in targets]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": targets[job["job_name"]]}]
    return config


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, list[str]]) -> Iterator[Prometheus]:
    """Run one that is ready; gone afterwards."""
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(configured(targets)))
    with Ports() as ports:
        address = f"{HOST}:{ports.reserve()}"
        argv = [
            *("prometheus", f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}"),
            *(f"--web.listen-address={address}", "--enable-feature=exemplar-storage"),
        ]
        child = Child("prometheus", argv, os.environ, folder, CLOCK)
        child.start()
        try:
            server = Prometheus(f"http://{address}", time.time(), folder)
            until("Prometheus ready", lambda: _ready(child, server.url))
            yield server
        finally:
            child.stop(DEADLINE_S)


def _ready(child: Child, url: str) -> bool:
    child.check()
    try:
        return HTTP.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False
