"""Locust's page, driven by a real browser, with a master and two workers."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from docs.pictures.chromium import Page
from docs.pictures.make import CLICK, SEEN
from tests.e2e.locusting import ended, start
from tests.e2e.serving import contract_server, free_port, wait_for
from tests.e2e.test_locustfiles import nothing_is_up

__all__ = ["nothing_is_up"]
pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

PICK = """
(() => {
  const rows = [...document.querySelectorAll('input[type=checkbox]')];
  const name = row => row.closest('tr')?.innerText.trim() ?? '';
  for (const row of rows) if (name(row) && row.checked !== %s.includes(name(row))) row.click();
  return rows.filter(row => row.checked && name(row)).length;
})()
"""
VERDICT = "document.getElementById('agentrig').dataset.verdict"
STATE = "fetch('/agentrig/state').then(answer => answer.json())"
SET_RATE = """
(() => {
  const form = document.getElementById('agentrig-rate');
  form.elements.factor.value = '%s';
  form.requestSubmit();
  return true;
})()
"""


@contextmanager
def locust(host: str) -> Iterator[str]:
    port, page = free_port(), free_port()
    workers = [start("--worker", "--master-port", port) for _ in range(2)]
    options = ("--master", "--master-bind-port", port, "--web-port", page, "-H", host)
    master = start(*options)
    url = f"http://127.0.0.1:{page}"
    try:
        wait_for(master, url)
        ready = time.monotonic() + 60
        while httpx.get(f"{url}/worker-count").json()["worker_count"] < len(workers):
            assert time.monotonic() < ready, "the workers did not come"
            time.sleep(0.2)
        yield url
    finally:
        master.send_signal(signal.SIGTERM)
        ended(master)
        for worker in workers:
            stop(worker)


def stop(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def begin(page: Page, *scenarios: str) -> None:
    page.wait_for(SEEN.format(name="START"))
    assert page.wait_for(PICK % json.dumps(scenarios)) == len(scenarios)
    page.run(CLICK.format(name="START"))
    page.wait_for(SEEN.format(name="STOP"))


def state(page: Page) -> dict[str, Any]:
    told: dict[str, Any] = page.run(STATE)
    return told


def complaints(page: Page) -> list[str]:
    """Return what the browser's console has of errors."""
    told = []
    for event in page.events:
        entry = event.get("params", {}).get("entry", {})
        if event.get("method") == "Runtime.exceptionThrown" or entry.get("level") == "error":
            told.append(json.dumps(event["params"])[:500])
    return told


def test_a_person_picks_starts_changes_resets_stops_and_takes_the_files_home() -> None:
    with contract_server() as host, locust(host) as url, Page(1280, 900) as page:
        page.ask("Runtime.enable")
        page.ask("Log.enable")
        page.open(url)
        begin(page, "Steady", "Conversations")
        page.wait_for(f"{STATE}.then(told => told.sent > 60)")
        page.wait_for(VERDICT)
        assert page.wait_for(SET_RATE % "3")
        page.wait_for(f"{STATE}.then(told => told.rate_factor === 3)")
        time.sleep(4)  # until the change holds, and workers have told what came of it
        before = state(page)
        page.run(CLICK.format(name="RESET"))
        time.sleep(4)
        after = state(page)
        assert after["sent"] < before["sent"], "ours are set back with Locust's"
        assert after["rate_factor"] == 3
        page.run(CLICK.format(name="STOP"))
        page.wait_for(SEEN.format(name="NEW"))
        page.wait_for(f"{STATE}.then(told => !told.running)")
        page.wait_for("document.getElementById('agentrig-verdict').textContent === 'held'")
        rows = [json.loads(line) for line in httpx.get(f"{url}/agentrig/requests.jsonl").text.splitlines()]
        assert {row["experiment"] for row in rows} == {"Steady", "Conversations"}, (
            "what was ticked, and no more"
        )
        told = httpx.get(f"{url}/agentrig/verdict.json").json()
        assert (told["verdict"], told["failed"], told["dropped"]) == ("held", 0, 0)
        assert len(rows) >= told["sent"] > 0
        assert "#[Max" in httpx.get(f"{url}/agentrig/latency.hgrm").text
        first_start_s = min(row["due_s"] for row in rows)
        begun = len(rows)

        page.run(CLICK.format(name="NEW"))
        begin(page, "Steady")
        page.wait_for(f"{STATE}.then(told => told.sent > 10)")
        page.run(CLICK.format(name="STOP"))
        page.wait_for(f"{STATE}.then(told => !told.running)")
        again = [json.loads(line) for line in httpx.get(f"{url}/agentrig/requests.jsonl").text.splitlines()]
        assert {row["experiment"] for row in again} == {"Steady"}
        assert min(row["due_s"] for row in again) > first_start_s
        assert len(again) == httpx.get(f"{url}/agentrig/verdict.json").json()["sent"] < begun
        assert complaints(page) == []


def test_a_host_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    with contract_server() as host, locust(host) as url:
        form = {"user_count": 1, "spawn_rate": 1, "user_classes": "Steady", "host": ""}
        said = httpx.post(f"{url}/swarm", data=form).json()
    assert said["success"] is False
    assert "no service to send to" in said["message"]
