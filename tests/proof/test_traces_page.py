"""The page of traces, driven by a real browser over the recorded run."""

import tarfile
from pathlib import Path
from typing import Any

import pytest

from docs.pictures.chromium import Page
from harness.traces.pages import Pages
from harness.traces.server import listen, serving
from harness.traces.store import of_run
from tests.mutations.saved import packed
from tests.proof.test_locust_page import complaints

pytestmark = [pytest.mark.proof, pytest.mark.timeout(300)]
FOUND = "parseInt(document.querySelector('.found').innerText)"
ROWS = "[...document.querySelectorAll('.list tbody tr')]"


def follow(page: Page, script: str, then: str) -> Any:
    page.run(f"{script}; true")
    return page.wait_for(then)


def test_a_person_searches_opens_a_trace_and_compares_two(tmp_path: Path) -> None:
    with tarfile.open(packed("run")) as archive:
        archive.extractall(tmp_path, filter="data")
    store = of_run(tmp_path)
    with (
        listen() as listening,
        serving(Pages(store, "of the recorded run"), listening) as url,
        Page(1280, 900) as page,
    ):
        page.ask("Runtime.enable")
        page.ask("Log.enable")
        page.open(url)
        known = page.wait_for(f"document.readyState === 'complete' && {ROWS}.length && {FOUND}")
        page.run("document.querySelector('input[name=tags]').value = 'agentrig.retry.attempts=3'")
        follow(page, "document.querySelector('form.search').submit()", "location.search.includes('attempts')")
        retried = page.wait_for(f"document.readyState === 'complete' && {ROWS}.length && {FOUND}")
        assert 0 < retried < known
        follow(page, f"{ROWS}[0].querySelector('a').click()", "location.pathname.startsWith('/trace/')")
        attempts = (
            "[...document.querySelectorAll('.row .who')].filter(row => row.innerText.includes('POST')).length"
        )
        assert page.wait_for(f"document.readyState === 'complete' && {attempts}") >= 3
        follow(page, "history.back()", f"location.pathname === '/' && {ROWS}.length")
        page.run(f"{ROWS}.slice(0, 2).forEach(row => row.querySelector('input').click())")
        compare = "document.querySelector('form[action=\"/compare\"] button').click()"
        follow(page, compare, "location.pathname === '/compare'")
        assert page.wait_for("document.querySelectorAll('.two .waterfall').length") == 2
        assert complaints(page) == []
