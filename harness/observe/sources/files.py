"""Files of spans, whatever wrote them, and folders of these: a run's own, a Collector's rotated ones."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf - has no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness.capture.decode import spans_of
from harness.capture.flatten import left_out, resource_spans
from harness.errors import InputError
from harness.observe.sources import documents, packed
from harness.observe.sources.source import Time
from harness.outside.files import MOST_LINE_BYTES, open_regular
from harness.outside.text import parse_json
from harness.records.seen import Span

OF_A_RUN: Final = "spans.jsonl"
ENDS: Final = re.compile(r"\.(?:json|jsonl|ndjson|gz|zst|pb|proto|binpb|log|txt)(?:[.-]\d+)*$")
"""Rotated ones have a number or a date behind."""
OPEN_S: Final = 600.0
"""A file that was written to so lately may get its end yet; what another one lacks will never come."""
GIVE: Final = (
    "Give OTLP as JSON or protobuf, a file of Jaeger's page, JSON lines of `aws/spans`, or a run folder."
)


class Files:
    """A file, or the files of a folder.

    Args:
        path: of it.
        growing: whether they are written to meanwhile: what is not whole at an end is still on its way.
    """

    listens_since_s: float | None = None

    def __init__(self, path: Path, *, growing: bool = False) -> None:
        self.notes: list[str] = []
        self.live = growing
        self._path = path
        self._none = 0
        self._is_open = False
        _files(path)

    def spans(self, time: Time) -> Iterator[Span]:
        """Yield the spans of all files, one file after the other, but for files that are too old."""
        self.notes, self._none, found = [], 0, 0
        for file in _files(self._path):
            written_s = _written_s(file)
            if self.live and time.from_s is not None and written_s < time.from_s:
                continue
            self._is_open = self.live and written_s >= time.to_s - OPEN_S
            for span in self._of(file):
                found += 1
                yield span
        if not found and not (self.live and time.from_s is not None):
            left = (
                f" ({self._none} entries are no whole spans, with an id, begin and end)" if self._none else ""
            )
            raise InputError(f"{self._path}: holds no spans{left}. {GIVE}")
        if self._none:
            self.notes.append(f"{self._none} entries of {self._path} are no whole spans")

    def close(self) -> None:
        """Let go of nothing: each file is closed once it is read."""

    def _of(self, path: Path) -> Iterator[Span]:
        try:
            with open_regular(path) as opened:
                file = packed.unpacked(opened)
                yield from self._read(file)
        except packed.Broken as error:
            said = getattr(error, "strerror", None) or error
            if isinstance(error, FileNotFoundError | PermissionError):
                raise InputError(f"{path}: cannot be read: {said}. {GIVE}") from error
            if self._is_open and isinstance(error, EOFError):
                return
            self.notes.append(f"{path} is damaged or cut off, and its rest left out ({said})")

    def _read(self, file: io.BufferedReader) -> Iterator[Span]:
        head = file.peek(1)[:1]
        if packed.is_framed(file):
            for message in packed.frames(file):
                yield from self._message(message)
        elif head == b"\n" and not _is_json_below(file):
            yield from self._message(file.read(MOST_LINE_BYTES))
        else:
            yield from self._json(file)

    def _message(self, message: bytes) -> Iterator[Span]:
        if message[:1] in packed.JSON_BEGINS:
            yield from self._document(message)
            return
        try:
            request = ExportTraceServiceRequest.FromString(message)
        except DecodeError:
            self._none += 1
            return
        self._none += left_out(request)
        yield from spans_of({"resourceSpans": resource_spans(request)})

    def _json(self, file: io.BufferedReader) -> Iterator[Span]:
        """Read lines of JSON, each a document; where the first is none, the whole file is one."""
        first = _line(file)
        if _document(first) is None:
            rest = file.read(MOST_LINE_BYTES + 1)
            whole = _document(first + rest) if len(rest) <= MOST_LINE_BYTES else None
            if whole is not None:
                yield from self._document(first + rest)
                return
            lines = iter((first, *rest.splitlines(keepends=True)))
        else:
            lines = iter([first])
        for line in lines:
            yield from self._document(line)
        while line := _line(file):
            yield from self._document(line)

    def _document(self, text: bytes) -> Iterator[Span]:
        if not text.strip():
            return
        document = _document(text)
        if document is None:
            self._none += not (self._is_open and not text.endswith(b"\n"))
            return
        found, none = documents.read(document)
        self._none += none
        yield from found


def _document(text: bytes) -> Any:
    try:
        return parse_json(text)
    except (ValueError, json.JSONDecodeError):
        return None


def _written_s(path: Path) -> float:
    """Return when a file was last written to, in Unix seconds; what is gone meanwhile was right now."""
    try:
        return path.stat().st_mtime
    except OSError:
        return math.inf


def _line(file: io.BufferedReader) -> bytes:
    line = file.readline(MOST_LINE_BYTES + 1)
    if len(line) > MOST_LINE_BYTES:
        raise OSError("a line is too long")
    return line


def _is_json_below(file: io.BufferedReader) -> bool:
    """Whether what begins with an empty line is JSON: a message of protobuf begins with that byte, too."""
    return file.peek(packed.HEAD_BYTES)[: packed.HEAD_BYTES].strip()[:1] in packed.JSON_BEGINS


def _files(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            if not path.exists():
                raise InputError(f"{path}: there is no such file. {GIVE}")
            return [path]
        if (path / OF_A_RUN).is_file():
            return [path / OF_A_RUN]
        found = sorted(each for each in path.iterdir() if ENDS.search(each.name) and each.is_file())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}. {GIVE}") from error
    if not found:
        raise InputError(f"{path}: holds no file of spans. {GIVE}")
    return found
