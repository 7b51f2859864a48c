"""The report in a real browser: what a reader with or without eyes, a phone or a printer gets of it."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from docs.pictures.chromium import Page
from harness.report.html import to_html
from tests.harness.report import sample
from tests.harness.report.test_html import HOSTILE, hostile

pytestmark = pytest.mark.e2e

NO_BROWSER = shutil.which("chromium") is None and shutil.which("google-chrome") is None
LOADED = "document.readyState === 'complete'"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
EMPTY_PICTURES = """
[...document.querySelectorAll('svg[role=img]')].filter(picture => {
  const box = picture.getBBox();
  const shapes = [...picture.querySelectorAll('path, rect')].map(shape => shape.getBBox());
  return !(box.width > 100 && box.height > 20 && shapes.some(shape => shape.width > 1 && shape.height > 1));
}).length
"""
FAULTS = """
axe.run({resultTypes: ['violations']}).then(found => JSON.stringify(found.violations
  .filter(fault => ['serious', 'critical'].includes(fault.impact))
  .map(fault => `${fault.id}: ${fault.help}: ${fault.nodes[0].html}`)))
"""
TIMES_A_TENTH = 5
"""What ten times the requests may cost, as samples are drawn and not each of them."""
OPENINGS = 4
OPENED_IN_MS = "performance.getEntriesByType('navigation')[0].loadEventEnd"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if NO_BROWSER and not os.environ.get("CI"):
        pytest.skip("no chromium on PATH: CI has one, install it to look at reports here")
    with Page(1100, 900) as opened:
        for domain in ("Network", "Runtime", "Log"):
            opened.ask(f"{domain}.enable")
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    result, series = sample.fallen()
    return written(tmp_path_factory.mktemp("report"), to_html(replace(result, jaeger_url=None), series))


@pytest.fixture(autouse=True)
def _as_on_a_desk(page: Page) -> None:
    page.events.clear()
    page.ask("Emulation.clearDeviceMetricsOverride")
    page.ask("Emulation.setEmulatedMedia", media="", features=[])


def written(folder: Path, text: str) -> str:
    file = folder / "report.html"
    file.write_text(text, "utf-8")
    return file.as_uri()


def opened(page: Page, url: str) -> None:
    page.open(url)
    page.wait_for(f"location.href === {json.dumps(url)} && {LOADED}")


def told(page: Page, *methods: str) -> list[dict[str, Any]]:
    page.run("0")  # whatever was said before the answer is in by now
    return [event["params"] for event in page.events if event["method"] in methods]


def pressed(page: Page, key: str) -> None:
    code = {"Tab": 9, "Enter": 13}[key]
    text = {"text": "\r"} if key == "Enter" else {}
    for kind in ("keyDown", "keyUp"):
        page.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)


def dark(page: Page) -> None:
    page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])


def on_a_phone(page: Page) -> None:
    page.ask("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=2, mobile=True)


def test_it_opens_from_disk_without_the_network_and_without_an_error(page: Page, report: str) -> None:
    opened(page, report)
    assert [each["request"]["url"] for each in told(page, "Network.requestWillBeSent")] == [report]
    assert told(page, "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded") == []


def test_every_picture_is_drawn(page: Page, report: str) -> None:
    opened(page, report)
    assert page.run("document.querySelectorAll('svg[role=img]').length") >= 24
    assert page.run(EMPTY_PICTURES) == 0


def test_a_waterfall_and_a_line_of_it_open_by_keyboard(page: Page, report: str) -> None:
    opened(page, report)
    page.run("[...document.querySelectorAll('details.trace[open]')].forEach(each => each.open = false)")
    page.run("document.querySelector('.scroll').focus()")
    for _ in range(2):
        pressed(page, "Tab")
        pressed(page, "Enter")
    assert page.run("document.activeElement.parentElement.className") == "row"
    assert page.run("document.querySelector('details.trace').open")
    attributes = "document.querySelector('details.row[open] dl')"
    assert page.run(f"{attributes}.getBoundingClientRect().height") > 40
    assert "http.request.method" in page.run(f"{attributes}.innerText")


def test_the_table_of_all_checks_is_narrowed_by_keyboard(page: Page, report: str) -> None:
    opened(page, report)
    seen = "[...document.querySelectorAll('.whole tbody tr')].filter(row => row.offsetHeight).length"
    assert page.run(seen) == 23
    page.run("document.querySelector('#only-fail').focus()")
    page.ask(
        "Input.dispatchKeyEvent", type="keyDown", key=" ", code="Space", windowsVirtualKeyCode=32, text=" "
    )
    page.ask("Input.dispatchKeyEvent", type="keyUp", key=" ", code="Space", windowsVirtualKeyCode=32)
    assert page.run(seen) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page: Page, report: str, scheme: str) -> None:
    if scheme == "dark":
        dark(page)
    opened(page, report)
    assert page.run("matchMedia('(prefers-color-scheme: dark)').matches") is (scheme == "dark")
    page.run("document.querySelector('details.trace:not([open])').open = true")
    page.run("document.querySelector('details.row').open = true")
    page.run(resources.files("axe_core_python").joinpath("axe.min.js").read_text("utf-8"))
    assert json.loads(page.run(FAULTS)) == []


def test_on_a_phone_nothing_is_wider_than_the_screen(page: Page, report: str) -> None:
    on_a_phone(page)
    opened(page, report)
    page.run("[...document.querySelectorAll('details')].forEach(each => each.open = true)")
    assert page.run("document.documentElement.clientWidth") == 390
    assert page.run(OVERFLOW) <= 0


def test_on_paper_it_is_dark_on_white_even_where_the_screen_is_dark(page: Page, report: str) -> None:
    dark(page)
    page.ask(
        "Emulation.setEmulatedMedia",
        media="print",
        features=[{"name": "prefers-color-scheme", "value": "dark"}],
    )
    opened(page, report)
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.run("document.querySelector('.only').offsetHeight") == 0
    printed = page.ask("Page.printToPDF", printBackground=True)["data"]
    assert len(printed) > 100_000


def test_markup_from_elsewhere_stays_text(page: Page, tmp_path: Path) -> None:
    opened(page, written(tmp_path, to_html(*hostile())))
    page.run("[...document.querySelectorAll('details')].forEach(each => each.open = true)")
    assert page.run("document.querySelectorAll('script, img, iframe, a[href^=javascript]').length") == 0
    assert HOSTILE in page.run("document.querySelector('h2').innerText")
    assert HOSTILE in page.run("document.querySelector('.waterfall').innerText")
    assert told(page, "Page.javascriptDialogOpening", "Runtime.exceptionThrown", "Log.entryAdded") == []
    on_a_phone(page)
    assert page.run(OVERFLOW) <= 0


def opened_in_ms(page: Page, report: Path) -> float:
    opened(page, report)
    took_ms: float = page.run(OPENED_IN_MS)
    return took_ms


def test_ten_thousand_requests_an_arm_open_at_once(page: Page, tmp_path: Path) -> None:
    for name in ("many", "few"):
        (tmp_path / name).mkdir()
    many = written(tmp_path / "many", to_html(*sample.run(requests=10_000)))
    few = written(tmp_path / "few", to_html(*sample.run(requests=1_000)))
    opened(page, many)
    assert "n = 10,000" in page.run("document.body.innerText")
    many_ms, few_ms = (
        min(opened_in_ms(page, report) for _ in range(OPENINGS)) for report in (many, few)
    )  # the shortest: neighbours make it longer, never shorter
    assert many_ms < TIMES_A_TENTH * few_ms
