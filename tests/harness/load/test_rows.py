import dataclasses
import errno
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from harness.load.rows import KEPT_S, RowFile, line_of
from tests.harness.load.rows import row


class File(io.BytesIO):
    """A file that knows how often it was written to, on a disk that takes so much and no more."""

    written = 0
    room = 1_000_000

    def write(self, data: Any, /) -> int:
        self.written += 1
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = super().write(bytes(data)[: self.room])
        self.room -= taken
        return taken


class Bench:
    """A row file whose time comes when the test says so."""

    def __init__(self) -> None:
        self.file = File()
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.rows = RowFile(self.file, lambda wait_s, function: self.due.append((wait_s, function)))

    def let_time_pass(self) -> None:
        due, self.due = self.due, []
        for _, function in due:
            function()


def test_the_line_of_a_row_has_all_of_it() -> None:
    it = row(7, canary="CANARY-1", recalled=("CANARY-1", "CANARY-2"), error='"ü"\n')
    assert line_of(it) == json.dumps(dataclasses.asdict(it), separators=(",", ":")) + "\n"


def test_rows_reach_the_file_together_within_the_time_that_they_may_be_kept() -> None:
    bench = Bench()
    for index in range(3):
        bench.rows.add(row(index))
    assert [wait_s for wait_s, _ in bench.due] == [KEPT_S]
    assert bench.file.getvalue() == b""
    bench.let_time_pass()
    assert bench.file.written == 1
    assert bench.file.getvalue() == b"".join(line_of(row(index)).encode() for index in range(3))


def test_a_row_after_that_gets_its_own_time_and_a_file_without_new_rows_none() -> None:
    bench = Bench()
    bench.rows.add(row(0))
    bench.let_time_pass()
    assert bench.due == []
    bench.rows.add(row(1))
    bench.let_time_pass()
    assert bench.file.written == 2


def test_what_is_kept_at_the_end_can_be_written_at_once_and_the_file_be_closed() -> None:
    bench = Bench()
    bench.rows.add(row(0))
    bench.rows.flush()
    assert bench.file.getvalue() == line_of(row(0)).encode()
    bench.file.close()
    bench.let_time_pass()


def test_what_a_full_disk_does_not_take_is_written_when_it_has_room_again() -> None:
    bench = Bench()
    bench.rows.add(row(0))
    bench.file.room = 100
    bench.let_time_pass()
    assert len(bench.file.getvalue()) == 100
    bench.rows.add(row(1))
    assert [wait_s for wait_s, _ in bench.due] == [KEPT_S]
    with pytest.raises(OSError, match="No space left"):
        bench.rows.flush()
    bench.file.room = 1_000_000
    bench.let_time_pass()
    assert bench.file.getvalue() == (line_of(row(0)) + line_of(row(1))).encode()
    assert not bench.due
