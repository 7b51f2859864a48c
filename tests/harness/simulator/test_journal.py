import json
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.errors import StartError
from harness.records.seen import JournalRow
from harness.simulator import journal as module
from harness.simulator.journal import Journal


def row(**told: object) -> JournalRow:
    plain = {
        "time_s": 1.0,
        "end_s": 1.5,
        "connection": 1,
        "protocol": "openai",
        "model": "m",
        "stream": False,
    }
    return JournalRow(**(plain | {"call_id": "c", "attempt": 1} | told))  # type: ignore[arg-type]


def test_rows_are_numbered_and_can_be_asked_for_since_a_number() -> None:
    journal = Journal(None)
    for n in range(5):
        journal.add(row(attempt=n + 1))
    assert [(number, entry.attempt) for number, entry in journal.since(3)] == [(4, 4), (5, 5)]
    assert len(journal.since(0)) == 5
    assert journal.since(99) == []


def test_memory_is_bounded_and_the_numbers_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    journal = Journal(None)
    for _ in range(10):
        journal.add(row())
    assert [number for number, _ in journal.since(0)] == [8, 9, 10]
    assert [number for number, _ in journal.since(8)] == [9, 10]
    assert journal.count == 10


def test_rows_are_read_a_page_at_a_time() -> None:
    journal = Journal(None)
    for _ in range(5):
        journal.add(row())
    assert [number for number, _ in journal.since(1, 2)] == [2, 3]
    assert [number for number, _ in journal.since(3, 9)] == [4, 5]


def test_paths_that_are_not_served_are_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATHS_KEPT", 2)
    journal = Journal(None)
    for path in ("a", "b", "a", "c"):
        journal.not_served(path)
    assert dict(journal.unserved) == {"a": 2, "b": 1, "others": 1}


def test_the_file_has_every_row_as_the_record_has_it(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    journal = Journal(file)
    rows = [row(decision="auth", fault_class="permanent"), row(trace_id="ab")]
    for each in rows:
        journal.add(each)
    journal.close()
    assert [json.loads(line) for line in file.read_text().splitlines()] == [asdict(each) for each in rows]


def test_a_reset_forgets_and_the_file_and_the_metrics_stay(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    journal = Journal(file)
    journal.attempt(None, "c", 0.0)
    journal.add(row())
    journal.reset()
    assert (journal.count, journal.since(0), dict(journal.decisions)) == (0, [], {})
    assert (journal.attempts, journal.names.calls, journal.names.contents, journal.resets) == (0, 0, 0, 1)
    assert journal.attempt(None, "c", 0.0).attempt == 1
    assert sum(journal.counts.calls.values()) == 1
    journal.add(row())
    journal.close()
    assert len(file.read_text().splitlines()) == 2


def test_what_was_written_is_there_after_a_flush(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    journal = Journal(file)
    journal.add(row())
    journal.flush()
    assert file.read_text().endswith("\n")


def test_a_file_that_cannot_be_written_is_told_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"nowhere/j\.jsonl"):
        Journal(tmp_path / "nowhere" / "j.jsonl")


def test_a_disk_that_is_full_is_told_with_the_file() -> None:
    journal = Journal(Path("/dev/full"))
    journal.add(row())
    with pytest.raises(StartError, match="/dev/full: the journal cannot be written: No space left"):
        journal.flush()
