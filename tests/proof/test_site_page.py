"""The site as a reader meets it: each page opened in a browser by clicking, on a desk and on a phone."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from docs.pictures.chromium import Page
from tests.e2e.test_site import site

__all__ = ["site"]
pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]
READY = "document.readyState === 'complete'"
LINKS = """
[...new Set([...document.querySelectorAll('a[href]')].map(each => each.href.split('#')[0]))]
  .filter(each => each.startsWith(location.origin) && each.endsWith('.html'))
"""
CLICK = """
(() => {
  const found = [...document.querySelectorAll('a[href]')].find(each => each.href.split('#')[0] === %s);
  found.target = '_self';
  found.click();
  return true;
})()
"""
BROKEN_PICTURES = """
Promise.all([...document.images].map(async each => {
  each.loading = 'eager';
  try { await each.decode(); } catch { return each.src; }
  return each.naturalWidth ? null : each.src;
})).then(found => found.filter(Boolean))
"""
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
TYPE = """
(() => {
  document.querySelector('[data-md-toggle=search]').checked = true;
  const field = document.querySelector('.md-search__input');
  field.focus();
  field.value = %s;
  field.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}));
  return true;
})()
"""
FOUND = "[...document.querySelectorAll('.md-search-result__link')].map(each => each.href)"


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing of it.

    Samples are single files that hold all they need: a browser asks for an icon all the same.
    """

    def do_GET(self) -> None:
        """Send a file; of an icon that there is not, say that there is none."""
        if self.path == "/favicon.ico":
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base calls it so
        """Say nothing."""


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    width, height = request.param
    with Page(width, height) as opened:
        for domain in ("Network", "Runtime", "Log"):
            opened.ask(f"{domain}.enable")
        opened.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        yield opened


def complaints(page: Page) -> list[str]:
    """Return what the browser said of the page since it was asked last: errors, and what it did not get."""
    page.run("0")  # whatever was said before the answer is in by now
    events, page.events[:] = list(page.events), []
    return [said for event in events if (said := _complaint(event["method"], event["params"]))]


def _complaint(method: str, told: dict[str, Any]) -> str | None:
    if method == "Network.responseReceived" and told["response"]["status"] >= 400:
        return f"{told['response']['status']} {told['response']['url']}"
    if method == "Network.loadingFailed" and not told["canceled"]:
        return f"not loaded: {told['errorText']}"
    if method == "Log.entryAdded" and told["entry"]["level"] == "error":
        return str(told["entry"]["text"])
    if method == "Runtime.exceptionThrown":
        return str(told["exceptionDetails"])
    return None


def test_each_page_is_reached_by_clicking_and_shows_all_of_it(page: Page, served: str, site: Path) -> None:
    page.open(f"{served}/index.html")
    page.wait_for(f"location.href !== 'about:blank' && {READY}")
    from_page: dict[str, str] = {f"{served}/index.html": ""}
    waiting, wrong, seen = [f"{served}/index.html"], dict[str, Any](), set[str]()
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        seen.add(url)
        if from_page[url]:
            page.open(from_page[url])
            page.wait_for(f"location.href.split('#')[0] === {json.dumps(from_page[url])} && {READY}")
            page.run(CLICK % json.dumps(url))
        page.wait_for(f"location.href.split('#')[0] === {json.dumps(url)} && {READY}")
        found = [*page.run(BROKEN_PICTURES), *complaints(page)]
        if (beyond := page.run(TOO_WIDE)) > 0:
            found.append(f"{beyond} pixels wider than the screen")
        if found:
            wrong[url.removeprefix(served)] = found
        for link in page.run(LINKS):
            if link not in from_page:
                from_page[link] = url
                waiting.append(link)
    assert wrong == {}
    built = {f"{served}/{file.relative_to(site)}" for file in site.rglob("*.html") if file.name != "404.html"}
    assert built - seen == set()


@pytest.mark.parametrize(("words", "answer"), [("herd-share", "/checks.html"), ("snapshot", "/weather.html")])
def test_what_is_searched_for_is_found(page: Page, served: str, words: str, answer: str) -> None:
    page.open(f"{served}/index.html")
    page.wait_for(f"location.href !== 'about:blank' && {READY}")
    page.run(TYPE % json.dumps(words))
    page.wait_for(f"{FOUND}.some(each => each.startsWith({json.dumps(served + answer)}))")
