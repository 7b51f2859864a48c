"""What the page of peers computes: the truth of a stall, ratios, who is behind, what is told first."""

import random
from pathlib import Path

import pytest

from tests.bench.peers.__main__ import how
from tests.bench.peers.capture import body, spans_of_lines, spans_of_messages
from tests.bench.peers.figures import (
    NotMeasuredError,
    Row,
    even,
    late_p99_ms,
    slower_first,
    spread,
    stalled_p99_ms,
    turn_about,
)
from tests.bench.peers.page import Setting, page


def row(
    what: str, ours: tuple[float, ...] | str, *, one: bool = False, **peers: tuple[float, ...] | str
) -> Row:
    return Row(part="load", what=what, unit="ms", ours=ours, peers=peers, true_is_one=one)


def test_the_truth_of_a_stall_is_what_each_due_request_waits() -> None:
    due_s = even(100, 800)
    assert stalled_p99_ms(due_s, 3.0, 1.0) == pytest.approx(920, abs=1.0)  # eight of 800 wait for longer
    assert stalled_p99_ms([each + 50 for each in due_s], 3.0, 1.0) == pytest.approx(920, abs=1.0)
    assert stalled_p99_ms(due_s, 9.0, 1.0) == 0
    assert stalled_p99_ms(even(100, 20_000), 3.0, 1.0) == 0  # less than one in a hundred


def test_how_late_is_against_the_earliest_by_its_plan() -> None:
    due_s = even(10, 200)
    assert late_p99_ms([each + 7 for each in due_s], due_s) == pytest.approx(0, abs=1e-6)
    late_s = [each + 7 + (0.05 if number > 100 else 0) for number, each in enumerate(due_s)]
    assert late_p99_ms(late_s, due_s) == pytest.approx(50)
    assert late_p99_ms(late_s[:150], due_s) == pytest.approx(50)


def test_a_ratio_is_made_in_each_round() -> None:
    ratio = row("x", (2.0, 4.0, 6.0), peer=(1.0, 1.0, 2.0)).ratio("peer")
    assert ratio == spread([2.0, 4.0, 3.0])
    assert row("x", (1.0,), peer="why").ratio("peer") is None
    assert row("x", "why", peer=(1.0,)).ratio("peer") is None
    assert row("x", (1.0,), peer=(0.0,)).ratio("peer") is None


def test_a_peer_is_better_where_the_lower_quartile_says_so() -> None:
    assert row("x", (2.0, 2.1, 2.2), peer=(1.0, 1.0, 1.0)).behind() == ["peer"]
    assert row("x", (0.9, 1.1, 1.2), peer=(1.0, 1.0, 1.0)).behind() == []
    assert row("x", (1.0, 1.0), slow=(2.0, 2.0), quick=(0.1, 0.1), good=(0.5, 0.5)).behind() == [
        "quick",
        "good",
    ]


def test_of_a_share_that_should_be_1_the_nearest_is_the_best() -> None:
    assert row("p99", (1.05,), one=True, closed=(0.01,), true=(1.0,)).behind() == ["true"]
    assert row("p99", (1.01,), one=True, true=(1.0,)).behind() == []


def test_what_is_slower_is_told_first_the_worst_of_it_before_the_rest() -> None:
    rows = [
        row("quick", (1.0,), peer=(2.0,)),
        row("slow", (2.0,), peer=(1.0,)),
        row("slowest", (9.0,), peer=(1.0,)),
        row("unknown", (1.0,), peer="not installed"),
    ]
    assert [each.what for each in slower_first(rows)] == ["slowest", "slow", "quick", "unknown"]


def test_the_page_says_what_is_slower_and_why_a_row_has_no_figure() -> None:
    setting = Setting(
        machine="2 cores",
        rounds=3,
        versions={"oha": "1"},
        missing=["x was not there."],
        how=how(),
        quiet=False,
    )
    rows = [
        row("CPU of one", (1.0, 1.0), oha=(2.0, 2.0)),
        row("CPU of two", (3.0, 3.0), oha=(1.0, 1.0), vegeta="not installed"),
        row("p99 told", (1.0, 1.0), one=True, oha=(0.02, 0.02)),
    ]
    written = page(rows, setting)
    head, _, rest = written.partition("## All rows")
    assert "- **load:** CPU of two: 3.00 ms, 3.00 times that of oha." in head
    assert "CPU of one" not in head
    assert "x was not there." in head
    lines = [line for line in rest.splitlines() if line.startswith("|")][2:]
    assert [line.split(" | ")[0] for line in lines] == [
        "| load: CPU of two",
        "| ",
        "| load: CPU of one",
        "| load: p99 told",
    ]
    assert "not measured: not installed" in lines[1]
    assert "**3.00 (3.00 to 3.00)**" in lines[0]
    assert "0.500 (0.500 to 0.500)" in lines[2]


def test_all_have_their_turn_in_each_round_and_one_that_fails_says_why() -> None:
    turns: list[str] = []

    def fails() -> float:
        turns.append("c")
        raise NotMeasuredError("it sent nothing")

    ways = {
        "a": lambda: float(turns.append("a") or 1),
        "b": lambda: float(turns.append("b") or 2),
        "c": fails,
    }
    found = turn_about(ways, 4, random.Random(1), warm_up=True)
    assert found == {"a": [1.0] * 4, "b": [2.0] * 4, "c": "it sent nothing"}
    assert (turns.count("a"), turns.count("b"), turns.count("c")) == (5, 5, 1)
    assert len({"".join(each for each in turns[at : at + 2]) for at in range(3, 11, 2)}) > 1


def test_spans_are_counted_in_what_the_collector_writes(tmp_path: Path) -> None:
    message = body(0)
    file = tmp_path / "messages"
    file.write_bytes(b"skipped" + (len(message).to_bytes(4, "big") + message) * 2)
    assert spans_of_messages(file, len("skipped")) == 100
    lines = tmp_path / "lines"
    lines.write_text('{"resourceSpans":[{"scopeSpans":[{"spans":[{},{}]}]}]}\n' * 2)
    assert spans_of_lines(lines, 0) == 4
