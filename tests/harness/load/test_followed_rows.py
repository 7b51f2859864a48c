import dataclasses
import json
from pathlib import Path

import pytest

from harness.load.followed_rows import LoadProgress, Tail
from harness.records.sent import Arrival, RequestRow
from tests.harness.load.rows import row

PLAN = [Arrival(index=i, due_s=float(i), session_id="s", prompt="p") for i in range(10)]


def line(of: RequestRow) -> str:
    return json.dumps(dataclasses.asdict(of)) + "\n"


def test_before_the_first_row_only_the_plan_is_known(tmp_path: Path) -> None:
    assert Tail(tmp_path / "rows", PLAN).progress(2.5) == LoadProgress(
        planned=10, sent=3, done=0, errors=0, in_flight=3, p50_ms=None, p99_ms=None
    )


def test_rows_are_followed_as_they_come(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    tail = Tail(file, PLAN)
    file.write_text(line(row(0, 0.2)))
    assert tail.progress(0.5).done == 1
    with file.open("a") as rows:
        rows.write(line(row(1, 0.4)) + line(row(2, 0.3)))
    now = tail.progress(4.0)
    assert (now.sent, now.done, now.in_flight, now.errors) == (5, 3, 2, 0)
    assert now.p50_ms == pytest.approx(300, abs=0.01)
    assert now.p99_ms == pytest.approx(400, abs=0.01)


def test_a_line_still_being_written_waits_for_its_end(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    tail = Tail(file, PLAN)
    whole = line(row(0))
    file.write_text(whole + whole[:50])
    assert tail.progress(1.5).done == 1
    file.write_text(whole + whole)
    assert tail.progress(1.5).done == 2


def test_a_failure_counts_as_done_and_has_no_part_in_the_latency(tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_text(line(row(0, 9.0, status=0, error="refused")) + line(row(1, 0.1)))
    now = Tail(file, PLAN).progress(1.5)
    assert (now.done, now.errors) == (2, 1)
    assert now.p99_ms == pytest.approx(100, abs=0.01)
