import pytest

from harness.load.kit.page import render
from harness.load.kit.panel import (
    Figures,
    arrivals_row,
    container_rows,
    extended_stats,
    parse,
    slow_rows,
    tables,
)
from harness.load.kit.tally import Tally
from harness.load.open_loop import ArrivalCounts
from tests.harness.load.rows import row


def tally() -> Tally:
    it = Tally(counts=ArrivalCounts(due=5, sent=4, late=1, dropped=1, in_flight=0))
    for number, latency_s in enumerate((0.1, 0.2, 0.3)):
        it.add(row(number, latency_s, upstream=f"10.0.0.{number % 2}:80"))
    it.add(row(3, 0.9, status=0, error="refused", upstream=None))
    return it


def test_the_arrivals_row_has_exact_percentiles_and_every_count() -> None:
    shown = arrivals_row(tally())
    assert (shown["due"], shown["sent"], shown["late"], shown["dropped"], shown["failed"]) == (5, 4, 1, 1, 1)
    assert 199 < shown["p50_ms"] < 201
    assert (shown["p99_ms"], shown["p99_all_ms"]) == (pytest.approx(300, abs=1), pytest.approx(900, abs=1))


def test_a_container_is_shown_with_its_share_and_its_own_gauges() -> None:
    gauges = {"10.0.0.0:80": {"inflight": 3.0, "busy": 1.0}, "10.0.0.9:80": {"inflight": 0.0, "busy": 0.0}}
    assert container_rows(tally(), gauges) == [
        {"name": "10.0.0.0:80", "served": 2, "share": "66.7%", "inflight": 3.0, "busy": "yes"},
        {"name": "10.0.0.1:80", "served": 1, "share": "33.3%", "inflight": None, "busy": ""},
        {"name": "10.0.0.9:80", "served": 0, "share": "0.0%", "inflight": 0.0, "busy": "no"},
    ]


def test_the_slowest_come_first_with_a_link_where_there_is_a_page() -> None:
    rows = slow_rows(tally(), "http://127.0.0.1:16686/")
    assert [r["latency_ms"] for r in rows] == [900.0, 300.0, 200.0, 100.0]
    assert rows[0]["trace"] == f"http://127.0.0.1:16686/trace/{row(3).trace_id}"
    assert rows[0]["status"] == "none"
    assert slow_rows(tally(), None)[0]["trace"] == row(3).trace_id


def test_before_any_answer_the_page_still_has_its_rows() -> None:
    keys = [entry["key"] for entry in extended_stats(Figures(Tally(), None), {})]
    assert keys == ["agentrig-arrivals", "agentrig-containers", "agentrig-slowest"]


def test_gauges_are_read_from_a_prometheus_exposition() -> None:
    text = (
        "# HELP agentrig_inflight now\n# TYPE agentrig_inflight gauge\nagentrig_inflight 2.0\n"
        'agentrig_busy{instance="a"} 1.0\nagentrig_rejections_total 7.0\n'
    )
    assert parse(text) == {"inflight": 2.0, "busy": 1.0}


def test_what_an_agent_says_that_is_no_number_is_not_known() -> None:
    text = "agentrig_inflight NaN\nagentrig_busy one\nagentrig_inflight_limit +Inf\n"
    assert parse(text) == {}
    assert container_rows(tally(), {"10.0.0.1:8080": parse(text)})


def test_the_page_links_the_slowest_to_their_traces() -> None:
    html = render(tables(Figures(tally(), "http://127.0.0.1:16686"), {}))
    trace_id = row(3).trace_id
    assert f'<a href="http://127.0.0.1:16686/trace/{trace_id}">{trace_id}</a>' in html
    assert '<th scope="col">p99.9 (ms)</th>' in html


def test_the_page_escapes_what_comes_from_outside() -> None:
    hostile = Tally()
    hostile.add(row(0, upstream="<script>alert(1)</script>"))
    html = render(tables(Figures(hostile, None), {}))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_before_the_first_test_the_page_says_so() -> None:
    assert "No test has been started yet." in render(())
