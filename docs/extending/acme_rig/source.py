"""Spans that Acme's store exports as CSV: `agentrig observe acme-csv:FILE`."""

import csv
from collections.abc import Iterator
from pathlib import Path

from harness.observe.sources import Wanted
from harness.observe.sources.source import Time
from harness.records.seen import Span


class CsvSource:
    """A file of spans, one a line."""

    live = False
    listens_since_s = None

    def __init__(self, file: Path) -> None:
        self.file = file
        self.notes: list[str] = []

    def spans(self, _time: Time) -> Iterator[Span]:
        """Yield its spans."""
        with self.file.open(newline="") as lines:
            for row in csv.DictReader(lines):
                yield Span(
                    trace_id=row["trace"],
                    span_id=row["span"],
                    parent_span_id=row["parent"] or None,
                    name=row["name"],
                    kind="server" if row["kind"] == "server" else "client",
                    start_ns=int(row["start_ns"]),
                    end_ns=int(row["end_ns"]),
                    service=row["service"],
                    instance=row["host"],
                    attributes={"http.response.status_code": int(row["status"]), "acme.model": row["model"]},
                )

    def close(self) -> None:
        """Hold nothing."""


def open_csv(rest: str, _wanted: Wanted) -> CsvSource:
    """Open the file that stands behind `acme-csv:`."""
    return CsvSource(Path(rest))
