"""Where spans come from: one place a file, and what tells by its word which is meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.errors import InputError
from harness.observe.sources import jaeger
from harness.observe.sources.files import Files
from harness.observe.sources.source import Source

JAEGER: Final = "jaeger:"
NOT_YET: Final = {
    "otlp:": "let the Collector's file exporter write a file, and give that",
    "tempo:": "export the traces as OTLP JSON (its API answers in it), and give the file",
    "cloudwatch:": "export the log group `aws/spans` as JSON lines, and give the file",
}


def open_source(word: str, services: Sequence[str]) -> Source:
    """Return the source that a word means.

    Args:
        word: a file or a folder, or `jaeger:URL`.
        services: whose traces are wanted; all when none is given.

    Raises:
        InputError: it means none.
    """
    if word.startswith(JAEGER):
        return jaeger.open_page(word.removeprefix(JAEGER), services)
    for begin, instead in NOT_YET.items():
        if word.startswith(begin):
            raise InputError(f"{word}: is no source that can be read; {instead}.")
    return Files(Path(word))
