import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from harness.records.outcome import ArmSeries, ArmSummary, ExperimentResult, Outcome, RunResult
from harness.records.setup import FleetEvent, Window
from harness.report.html import to_html
from tests.harness.report import sample

HOSTILE = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
CHECKS = 23
"""Of the sample, in its three experiments."""
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects what a browser would make of a page, and that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ids: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for key, value in attrs if key == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    return to_html(*sample.run())


@pytest.fixture(scope="module")
def fallen() -> str:
    return to_html(*sample.fallen())


def test_the_page_is_well_formed_and_every_link_within_it_leads_somewhere(page: str) -> None:
    parsed = Page(page)
    assert len(parsed.ids) == len(set(parsed.ids))
    inner = [attrs["href"][1:] for tag, attrs in parsed.tags if tag == "a" and attrs["href"].startswith("#")]
    assert len(inner) == 3 + 3 + CHECKS
    assert set(inner) <= set(parsed.ids)


def test_nothing_is_fetched_and_nothing_is_run(page: str) -> None:
    tags = Page(page).tags
    assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "object", "use", "base", "form"}
    assert not [key for _, attrs in tags for key in attrs if key.startswith("on") or key in {"src", "srcset"}]
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_it_begins_with_the_verdict_and_a_sentence_per_claim(page: str, fallen: str) -> None:
    head = re.sub(r"<[^>]+>", " ", page.split("<main>", maxsplit=1)[0].split("<body>")[1])
    assert "All 3 claims held" in head
    assert "2 each in cached, 136\u00a0each in per-request (control)." in head.replace(
        "2\u00a0each", "2 each"
    )
    assert "1 of 3 claims fell short, 1 unknown" in fallen.split("<main>", maxsplit=1)[0]


def test_every_experiment_has_all_its_pictures_and_its_checks(page: str) -> None:
    for section in page.split('class="experiment"')[1:]:
        for heading in (
            "Latency of successes",
            "Share per container",
            "In work, per container",
            "Model attempts over time",
        ):
            assert f">{heading}<" in section
        assert section.count('role="img"') >= 1 + 1 + 4 + 2
        assert section.count('<details class="trace" open>') == 2
        assert '<table class="checks">' in section


def test_every_row_of_a_waterfall_can_be_opened_in_place(page: str) -> None:
    tags = Page(page).tags
    rows = [attrs for tag, attrs in tags if tag == "details" and "row" in (attrs.get("class") or "")]
    traces = [attrs for tag, attrs in tags if tag == "details" and attrs.get("class") == "trace"]
    assert len(rows) > 10 * len(traces) > 100


def test_trace_ids_lead_to_jaeger_where_there_is_one_else_to_the_waterfall() -> None:
    result, series = sample.run()
    trace = result.experiments[1].checks[1].traces[0]
    assert f'href="http://localhost:16686/trace/{trace}"' in to_html(result, series)
    alone = to_html(replace(result, jaeger_url=None), series)
    assert "localhost" not in alone
    assert '<a href="#trace-2-1-0">' in alone
    assert 'id="trace-2-1-0"' in alone


def test_an_address_that_is_no_web_address_is_never_linked() -> None:
    result, series = sample.run()
    assert "javascript:" not in to_html(replace(result, jaeger_url="javascript:alert(1)"), series)


def test_every_figure_says_its_n_and_every_quantile_its_interval(page: str) -> None:
    assert "busy-aware, n = 800" in page
    assert "764 attempts, 164 retries" in page
    quantiles = page.split('class="quantiles"')[2].split("</table>", maxsplit=1)[0]
    assert quantiles.count("<td>800</td>") == 3
    assert len(re.findall(r'class="note">[\d.,]+ to [\d.,?]+<', quantiles)) == 9


def test_a_table_of_all_checks_can_be_narrowed_to_an_outcome_without_script(fallen: str) -> None:
    table = fallen.split('id="checks"')[1].split("</section>", maxsplit=1)[0]
    for outcome, word, count in (
        ("pass", "held", CHECKS - 3),
        ("fail", "fell short", 1),
        ("unknown", "unknown", 1),
        ("not_made", "not made", 1),
    ):
        assert table.count(f'class="{outcome}"') == count
        assert f"{word} {count}<" in table
        narrowed = f"#checks:has(#only-{outcome}:checked) tbody tr:not(.{outcome}) {{ display: none; }}"
        assert narrowed in fallen
    assert f"all {CHECKS}<" in table


def test_the_tested_cases_stand_beside_each_figure(page: str, fallen: str) -> None:
    assert page.count('<td data-label="tested cases">1,240</td>') == CHECKS
    assert page.count('1,240<span class="note">requests that could have broken it</span>') == CHECKS
    assert "in busy-aware (1,240 tested cases):</strong>" in fallen


def test_every_figure_that_is_no_count_says_how_sure_it_is(page: str) -> None:
    table = page.split('class="arms"')[2].split("</table>", maxsplit=1)[0].replace("\N{NO-BREAK SPACE}", " ")
    rows = {
        row.split("<", maxsplit=1)[0]: row.split("</th>")[1] for row in table.split('<th scope="row">')[1:]
    }
    for name in ("errors", "p50", "p95", "p99", "p99 of the optimum", "p99 over optimum"):
        assert rows[name].count(", n = 800</span>") == 2, name
    assert 'class="note">0 % to 0.5 %, n = 800' in rows["errors"]
    assert "span" not in rows["idle while waiting"]


def test_one_trace_of_the_arms_under_test_and_one_of_the_controls_is_open(page: str) -> None:
    assert page.count('<details class="trace" open>') == 2 * 3
    assert page.count("s after the load began") == page.count('<details class="trace"')


def test_what_fell_short_is_said_before_the_figures(fallen: str) -> None:
    section = fallen.split('class="experiment"')[2]
    assert section.index("Answer 503 at the limit") < section.index('class="arms"')
    assert section.index("the load was late") < section.index('class="arms"')


def hostile() -> tuple[RunResult, dict[tuple[str, str], ArmSeries]]:
    result, series = sample.run()
    busy = result.experiments[1]
    arms = {HOSTILE: busy.arms["busy-aware"], "b": replace(busy.arms["blind"], warnings=(HOSTILE,))}
    checks = tuple(
        replace(
            c, id=HOSTILE, arm=HOSTILE, unit=HOSTILE, message=HOSTILE, traces=(HOSTILE,), verdict=Outcome.FAIL
        )
        for c in busy.checks
    )
    (span, *rest) = series["busy-routing", "blind"].traces[0]
    bad = replace(
        span, trace_id=HOSTILE, name=HOSTILE, service=HOSTILE, instance=HOSTILE, status_message=HOSTILE,
        attributes={HOSTILE: HOSTILE, "session": HOSTILE},
    )  # fmt: skip
    drawn = replace(
        series["busy-routing", "blind"],
        traces=((bad, *rest),),
        in_flight={HOSTILE: series["busy-routing", "blind"].in_flight["agent-1"]},
        attempts=((1.0, 2, HOSTILE),),
        windows=tuple(Window(kind=kind, name="<b>", from_s=1.0, to_s=9.0) for kind in ("phase", "fault")),
        events=(FleetEvent(time_s=2.0, action="kill", container=HOSTILE),),
    )
    experiment = ExperimentResult(
        name=HOSTILE, title=HOSTILE, claim=HOSTILE, verdict=Outcome.FAIL, arms=arms, checks=checks
    )
    run = replace(result, run_id=HOSTILE, version=HOSTILE, experiments=(experiment,))
    return run, {(HOSTILE, HOSTILE): drawn, (HOSTILE, "b"): drawn}


def test_hostile_text_stays_text_wherever_it_comes_from() -> None:
    page = to_html(*hostile())
    assert page.count("&lt;script&gt;") > 30
    assert page.count(">&lt;b&gt;</text>") >= 2 * 2
    assert "&lt;/script&gt;&#34;&#39;&gt;&lt;img src=x onerror=alert(1)&gt; was killed at 2.0 s" in page
    parsed = Page(page)
    assert not {tag for tag, _ in parsed.tags} & {"script", "img"}
    assert not [key for _, attrs in parsed.tags for key in attrs if key.startswith("on")]


def test_half_a_character_in_an_attribute_does_not_keep_the_page_from_being_written() -> None:
    result, series = sample.run()
    drawn = series["cold-start", "cached"]
    cut = (replace(drawn.traces[0][0], attributes={"gen_ai.prompt": "cut here \ud83d"}),)
    page = to_html(result, {("cold-start", "cached"): replace(drawn, traces=(cut,))})
    assert b"cut here ?" in page.encode("utf-8")


def test_an_arm_without_data_gets_its_table_and_no_empty_pictures() -> None:
    result, _ = sample.run()
    silent = replace(
        result.experiments[0],
        verdict=Outcome.UNKNOWN,
        arms={"a": ArmSummary(control=False, requests=0, errors=0)},
        checks=(),
    )
    page = to_html(replace(result, verdict=Outcome.UNKNOWN, experiments=(silent,)), {})
    Page(page)
    assert 'role="img"' not in page
    assert "No check was made." in page
    assert "no check could be made" in page


def test_ten_thousand_requests_an_arm_stay_below_five_megabytes() -> None:
    page = to_html(*sample.run(requests=10_000))
    assert "n = 10,000" in page
    assert len(page.encode()) < 5_000_000
