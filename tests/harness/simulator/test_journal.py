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


def test_attempts_of_a_call_are_counted_within_a_trace() -> None:
    journal = Journal(None)
    seen = [
        journal.attempt(trace, call, 0.0) for trace, call in [("t", "c"), ("t", "c"), ("u", "c"), ("t", "d")]
    ]
    assert seen == [1, 2, 1, 1]
    assert [journal.attempt(None, "c", 0.0), journal.attempt(None, "c", 0.0)] == [1, 2]


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


def test_the_oldest_calls_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS_KEPT", 2)
    journal = Journal(None)
    for call in ("a", "b", "a", "c"):
        journal.attempt(None, call, 0.0)
    assert [journal.attempt(None, "a", 9.0), journal.attempt(None, "b", 9.0)] == [3, 1]


def test_attempts_are_counted_exactly_beyond_the_rows_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    journal = Journal(None)
    for number in range(3000):
        for attempt in range(1 + (number % 3 > 0)):
            journal.attempt(f"trace-{number}", f"call-{number}", number + attempt)
            journal.add(row())
    assert (journal.attempts, journal.by_trace.calls, journal.by_body.calls) == (5000, 3000, 3000)
    assert journal.by_trace.forgotten_after_s is None


def test_one_call_whose_attempts_have_traces_of_their_own_is_one_by_its_body() -> None:
    journal = Journal(None)
    for trace in "abcde":
        journal.attempt(trace, "c", 0.0)
    assert (journal.attempts, journal.by_trace.calls, journal.by_body.calls) == (5, 5, 1)


def test_it_says_after_how_long_a_call_had_to_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPTS_KEPT", 2)
    attempts = module.Attempts()
    for call, at_s in (("a", 1.0), ("b", 2.0), ("c", 9.0), ("d", 9.5)):
        attempts.count(call, at_s)
    assert attempts.forgotten_after_s == 7.5


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
    assert (journal.attempts, journal.by_trace.calls, journal.by_body.calls, journal.resets) == (0, 0, 0, 1)
    assert journal.attempt(None, "c", 0.0) == 1
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
