"""Takes the pictures of the documentation: `make pictures`, or `python -m docs.pictures.make RUN`.

Holds a fleet up, opens Locust's page in a headless Chromium as a person would, picks ThrottlingStorm,
starts it, watches, stops it, and takes a picture of each step. With a run folder, takes that of its
report instead.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from docs.pictures.chromium import POLL_S, Page

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCENARIO = "ThrottlingStorm"
WATCH_S = 26.0
DRAWN_WITHIN_S = 2.0
"""Locust's page asks for new figures every two seconds."""
TABS = {"CHARTS": "locust-charts.png", "OPEN ARRIVALS": "locust-arrivals.png"}
READY_WITHIN_S = 60.0
PICK = """
(() => {{
  const rows = [...document.querySelectorAll('input[type=checkbox]')];
  const name = row => row.closest('tr')?.innerText.trim() ?? '';
  for (const row of rows) if (name(row) && row.checked !== (name(row) === '{scenario}')) row.click();
  const chosen = rows.find(row => name(row) === '{scenario}');
  chosen.scrollIntoView({{block: 'center'}});
  return chosen.checked;
}})()
"""
NAMED = "[...document.querySelectorAll('button')].find(b => b.innerText.trim().toUpperCase() === '{name}')"
CLICK = f"{NAMED}.click()"
SEEN = f"Boolean({NAMED})"


def main() -> None:
    """Take the pictures that are asked for."""
    if len(sys.argv) > 1:
        take_report(Path(sys.argv[1]))
    else:
        take_locust()


def take_report(run: Path) -> None:
    """Take the head of a run's report."""
    with Page(1100, 1000) as page:
        page.open((run / "report.html").absolute().as_uri())
        page.wait_for("document.readyState === 'complete'")
        page.picture(HERE.parent / "report.png", height=1500)


def take_locust() -> None:
    """Take Locust's page, step by step."""
    with tempfile.TemporaryDirectory() as folder, fleet(Path(folder)), locust(Path(folder)) as url:
        with Page(1280, 760) as page:
            page.open(url)
            page.wait_for(SEEN.format(name="START"))
            page.wait_for(PICK.format(scenario=SCENARIO))
            page.picture(HERE / "locust-start.png")
            page.run(CLICK.format(name="START"))
            page.wait_for(SEEN.format(name="STOP"))
            time.sleep(WATCH_S)
            for tab, file in TABS.items():
                page.run(CLICK.format(name=tab))
                time.sleep(DRAWN_WITHIN_S)
                page.picture(HERE / file)
            page.run(CLICK.format(name="STOP"))
            page.wait_for(SEEN.format(name="NEW"), within_s=READY_WITHIN_S)
        with Page(1000, 700) as page:
            page.open(f"{url}/agentrig")
            page.wait_for("document.body?.innerText.includes('Containers')")
            page.picture(HERE / "locust-agentrig.png")


@contextlib.contextmanager
def fleet(folder: Path) -> Iterator[None]:
    """Hold a fleet up."""
    argv = [sys.executable, "-m", "harness", "up", "--logs", str(folder / "logs")]
    with running(argv, folder / "up.log") as log:
        end_s = time.monotonic() + READY_WITHIN_S
        while "locust -f locustfiles" not in log.read_text("utf-8"):
            if time.monotonic() > end_s:
                raise RuntimeError(f"the fleet is not up:\n{log.read_text('utf-8')}")
            time.sleep(POLL_S)
        yield


@contextlib.contextmanager
def locust(folder: Path) -> Iterator[str]:
    """Serve Locust's page; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", "locust", "-f", "locustfiles", "--web-port", str(port)]
    with running(argv, folder / "locust.log") as log:
        url = f"http://127.0.0.1:{port}"
        end_s = time.monotonic() + READY_WITHIN_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(url).is_success:
                    break
            if time.monotonic() > end_s:
                raise RuntimeError(f"Locust's page is not there:\n{log.read_text('utf-8')}")
            time.sleep(POLL_S)
        yield url


@contextlib.contextmanager
def running(argv: list[str], log: Path) -> Iterator[Path]:
    """Run a program from the repository's folder until the block ends; yields its log."""
    with log.open("wb") as written:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=written, stderr=written)
    try:
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


if __name__ == "__main__":
    main()
