import asyncio
import json
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from harness.records.seen import SpanEvent
from harness.traces.compared import compare
from harness.traces.pages import Page, Pages
from harness.traces.server import TracesApp
from tests.harness.traces.some import span, store

EVIL = '<script>alert("x")</script>'
ONE, TWO = f"{1:032x}", f"{2:032x}"


def attempts(trace: int, *took_ms: float) -> list[Any]:
    """Return the spans of a trace with so many attempts at a call."""
    calls = [span(trace, number, "POST /v1/chat", ms) for number, ms in enumerate(took_ms, start=2)]
    return [span(trace, 1, "herd: POST /invocations", sum(took_ms) + 10), *calls]


def pages(*spans: Any) -> Pages:
    return Pages(store(*(spans or [*attempts(1, 20.0), *attempts(2, 20.0, 30.0, 40.0)])), "of a test")


def ask(it: Pages, path: str, **fields: Any) -> Page:
    return it.answer(
        path, {name: [value] if isinstance(value, str) else value for name, value in fields.items()}
    )


class Parsed(HTMLParser):
    """What a browser would make of a page: its elements, and the addresses it leads to."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.links: list[str] = []
        self.feed(page.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]


def test_the_search_lists_the_slowest_first_with_what_is_in_each() -> None:
    text = ask(pages(), "/").text
    assert text.index(TWO) < text.index(ONE)
    assert "2 of 2 traces found" in text
    assert "100 ms" in text
    assert "agent 4" in text


def test_a_search_by_tag_and_duration_finds_what_has_them() -> None:
    it = pages(
        *attempts(1, 20.0), *attempts(2, 90.0), span(2, 9, "x", attributes={"http.response.status_code": 503})
    )
    found = ask(it, "/", tags="http.response.status_code=503", min="50ms").text
    assert "1 of 2 traces found" in found
    assert TWO in found
    assert ONE not in found
    assert 'value="http.response.status_code=503"' in found, "the form shows what was asked"


def test_a_field_that_is_wrong_is_told_in_the_page() -> None:
    page = ask(pages(), "/", min="soon")
    assert page.status == 400
    assert "a duration is such as 250ms" in page.text


def test_a_trace_with_three_attempts_shows_each_of_them() -> None:
    page = ask(pages(), f"/trace/{TWO}")
    assert page.text.count('title="POST /v1/chat"') == 3
    assert f"/compare?t={ONE}&amp;t={TWO}" not in page.text, "it is the median itself"
    assert f"/compare?t={TWO}&amp;t={ONE}" in ask(pages(), f"/trace/{ONE}").text


def test_a_trace_is_also_a_file_for_jaegers_page() -> None:
    page = ask(pages(), f"/trace/{TWO}.json")
    (trace,) = json.loads(page.text)["data"]
    assert (trace["traceID"], len(trace["spans"])) == (TWO, 4)


def test_two_traces_are_compared_on_one_scale() -> None:
    page = ask(pages(), "/compare", t=[ONE, TWO])
    assert page.status == 200
    assert "1 in 20 ms" in page.text
    assert "3 in 90 ms" in page.text
    assert "+70 ms" in page.text
    assert page.text.count("width:100.0%") == 1, "the shorter one's root is not as wide"


def test_what_differs_most_comes_first() -> None:
    parts = compare(attempts(1, 20.0), attempts(2, 20.0, 30.0, 40.0))
    assert [(part.name, part.counts) for part in parts] == [
        ("agent herd: POST /invocations", (1, 1)),
        ("agent POST /v1/chat", (1, 3)),
    ]


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/trace/nope", {}, 404),
        ("/nope", {}, 404),
        ("/compare", {"t": [ONE]}, 400),
        ("/compare", {"t": [ONE, "f" * 32]}, 404),
    ],
)
def test_what_is_not_there_is_told(path: str, fields: dict[str, Any], status: int) -> None:
    assert ask(pages(), path, **fields).status == status


def test_nothing_that_a_span_says_is_markup_and_nothing_is_fetched_from_elsewhere() -> None:
    evil = span(
        1, 1, EVIL, service=EVIL, instance=EVIL, status_message=EVIL, attributes={EVIL: EVIL}, error=True
    )
    it = pages(evil, span(2, 1, "href='javascript:alert(1)'"))
    asked = [
        ask(it, "/"),
        ask(it, "/", tags=EVIL, name=EVIL, min=EVIL),
        ask(it, f"/trace/{ONE}"),
        ask(it, "/compare", t=[ONE, TWO]),
    ]
    for page in asked:
        parsed = Parsed(page)
        assert "script" not in parsed.elements
        assert EVIL not in page.text
        assert all(link.startswith("/") for link in parsed.links), parsed.links
    assert EVIL not in ask(it, f"/trace/{EVIL}").text or ask(it, f"/trace/{EVIL}").kind.startswith(
        "text/plain"
    )


def sent(method: str = "GET", path: str = "/", **headers: str) -> httpx.Response:
    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app=TracesApp(pages()))  # type: ignore[arg-type]  # httpx - its own types
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(call())


def test_a_browser_is_told_to_run_nothing() -> None:
    answer = sent(path=f"/compare?t={ONE}&t={TWO}")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_query_without_an_end_is_the_askers_fault() -> None:
    assert sent(path=f"/?{'name=x&' * 1000}").status_code == 400


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"host": "evil.example"}, 403),
        ("GET", {"origin": "http://evil.example"}, 403),
        ("POST", {}, 405),
        ("HEAD", {}, 200),
    ],
)
def test_it_is_read_and_by_nobody_elses_page(method: str, headers: dict[str, str], status: int) -> None:
    assert sent(method, **headers).status_code == status


LARGEST = 8_000_000
"""Characters of a page that a browser still shows at once."""


def odd(number: int, **more: Any) -> Any:
    """Return a span that says more than anybody reads."""
    event = SpanEvent(name=EVIL * 100, time_ns=(1 << 63) + number, attributes={"k" * 999: "v" * 100_000})
    about: dict[str, Any] = {"attributes": {f"{EVIL}{each}": "v" * 9999 for each in range(500)}}
    return span(1, number, EVIL * 100, service=EVIL * 99, events=(event,) * 300, **(about | more))


def test_a_span_that_says_more_than_anybody_reads_is_cut() -> None:
    page = ask(pages(*(odd(number) for number in range(1, 21))), f"/trace/{ONE}")
    assert page.status == 200
    assert len(page.text) < LARGEST
    assert "script" not in Parsed(page).elements
    assert page.text.count("more attributes") == page.text.count("more events") == 20
    assert 'class="event"' not in page.text  # they lie centuries beyond the trace
    assert ask(pages(odd(1)), "/").status == 200


def test_ten_thousand_spans_in_a_circle_and_without_parents_are_drawn_as_far_as_is_read() -> None:
    circle = [
        span(1, number, parent_span_id=f"{number % 5000 + 2:016x}", events=()) for number in range(2, 5002)
    ]
    lost = [span(1, number, parent_span_id="f" * 16, took_ms=-5.0) for number in range(6000, 11_000)]
    page = ask(pages(*circle, *lost), f"/trace/{ONE}")
    assert page.status == 200
    assert "8000 more spans are not drawn." in page.text
    assert len(page.text) < LARGEST
    assert "width:-" not in page.text
