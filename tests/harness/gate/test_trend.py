"""The trend of a history, as a page."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from harness.commands.main import call
from harness.errors import ExitCode
from harness.gate import history
from harness.gate.baseline import Baseline
from harness.gate.trend import to_page, trends

DAY_S = 86_400.0


def sessions(levels: list[float], *, noise: float = 0.03, machine: str = "m") -> list[Baseline]:
    drawn = np.random.default_rng(2).normal(0, noise, (len(levels), 2))
    return [
        Baseline(
            saved_s=DAY_S * (20_000 + number),
            label=f"commit{number:02}",
            scenario="steady",
            conditions={"machine": machine},
            blocks=16,
            blurred=0,
            errors=0,
            requests=8000,
            figures={
                "p99": level * float(np.exp(drawn[number, 0])),
                "rss": 100.0 * float(np.exp(drawn[number, 1])),
            },
        )
        for number, level in enumerate(levels)
    ]


DRIFT = [100.0] * 6 + [100.0 * 1.04**commit for commit in range(1, 11)]


def test_ten_commits_of_four_percent_are_found_and_the_calm_figure_is_not() -> None:
    found, left_out = trends(sessions(DRIFT))
    by_name = {each.measure.name: each for each in found}
    assert by_name["p99"].times > 1.2
    assert "from commit" in by_name["p99"].changes[0]
    assert by_name["rss"].changes == ()
    assert left_out == []


def test_sessions_on_another_machine_are_left_out_and_told() -> None:
    elsewhere = sessions([500.0] * 6, machine="other")
    found, (said,) = trends([*elsewhere, *sessions([100.0] * 8)][::-1])
    assert max(found[0].figures) < 200.0
    assert said.startswith("steady: 6 of 14 sessions left out: machine was other")


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.outside += [value for name, value in attrs if name in {"src", "href"} and value]


def test_the_page_needs_nothing_beside_itself_and_takes_names_as_text() -> None:
    odd = [
        Baseline(**{**{name: getattr(each, name) for name in each.__slots__}, "label": "<script>x"})
        for each in sessions(DRIFT)
    ]
    tags = Tags()
    tags.feed(to_page(*trends(odd), "made of <b>"))
    assert tags.outside == []
    assert {"script", "b", "link"}.isdisjoint(tags.seen)
    assert tags.seen.count("svg") == 2
    assert tags.seen.count("circle") == 2 * len(DRIFT)


def test_the_command_writes_it_and_says_what_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, page = tmp_path / "nightly.jsonl", tmp_path / "trend.html"
    history.add(file, sessions(DRIFT))
    assert call(["baseline", "trend", str(file), "--out", str(page)]) == ExitCode.HELD
    said = capsys.readouterr().out
    assert "steady p99: 1." in said
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert call(["baseline", "trend", str(tmp_path / "none.jsonl")]) == ExitCode.BAD_INPUT
