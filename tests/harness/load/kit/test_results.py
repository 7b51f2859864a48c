import json
from pathlib import Path

import pytest

from harness.load.kit.results import open_rows, unused, write_histogram
from harness.load.kit.tally import Tally
from tests.harness.load.rows import row


def test_each_worker_has_a_file_of_its_own(tmp_path: Path) -> None:
    for worker in range(2):
        rows = open_rows(tmp_path / "new", worker)
        assert rows is not None
        rows.write(json.dumps({"worker": worker}))
        rows.close()
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == [
        "requests-0.jsonl",
        "requests-1.jsonl",
    ]


def test_no_test_overwrites_another_nor_has_its_rows_beside_ones_own(tmp_path: Path) -> None:
    asked = tmp_path / "out"
    assert unused(asked, ()) == asked
    assert unused(asked, {asked}) == asked / "test-2"
    rows = open_rows(asked, 3)  # a process of before
    assert rows is not None
    rows.close()
    assert unused(asked, ()) == asked / "test-2"
    write_histogram(asked / "test-2", Tally())
    assert unused(asked, {asked / "test-3"}) == asked / "test-4"


def test_without_a_folder_nothing_is_kept() -> None:
    assert open_rows(None, 0) is None


def test_the_histogram_is_written_in_ms_as_plotters_read_it(tmp_path: Path) -> None:
    tally = Tally()
    for number in range(100):
        tally.add(row(number, 0.25))
    write_histogram(tmp_path / "new", tally)
    lines = (tmp_path / "new" / "latency.hgrm").read_text().splitlines()
    assert lines[0].split() == ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]
    assert float(lines[2].split()[0]) == pytest.approx(250.0, rel=1e-3)
