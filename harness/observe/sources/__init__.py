"""Where spans come from: one place a file, and what tells by its word which is meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.clock import Clock
from harness.errors import InputError
from harness.observe.serving import address_of
from harness.observe.sources import log_group
from harness.observe.sources.api import client_of
from harness.observe.sources.files import Files
from harness.observe.sources.installed import NAME, sources
from harness.observe.sources.jaeger import JaegerApi
from harness.observe.sources.otlp import open_receiver
from harness.observe.sources.otlp_grpc import open_grpc_receiver
from harness.observe.sources.source import Source
from harness.observe.sources.tempo import TempoApi

JAEGER: Final = "jaeger:"
OTLP: Final = "otlp://"
OTLP_GRPC: Final = "otlp-grpc://"
TEMPO: Final = "tempo:"
CLOUDWATCH: Final = "cloudwatch:"
SOURCES: Final = sources(("jaeger", "otlp", "otlp-grpc", "tempo", "cloudwatch"))
SLACK_S: Final = 60.0
"""What came in is kept so much longer than it is asked for: a look takes time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be asked for.

    Attributes:
        services: whose traces; all when none is given.
        since_s: seconds that are looked back; None for all that is there.
        every_s: seconds between two looks; None for a single one.
        clock: says when something comes in.
        tell: is told of senders whose words are not understood.
    """

    services: Sequence[str]
    since_s: float | None
    every_s: float | None
    clock: Clock
    tell: Callable[[str], None]


def open_source(word: str, wanted: Wanted) -> Source:
    """Return the source that a word means.

    Args:
        word: a file or a folder, `jaeger:URL`, `tempo:URL`, `cloudwatch:GROUP`, `otlp://HOST:PORT`,
            `otlp-grpc://HOST:PORT`, or `NAME:WHATEVER` with the name of a source of an installed package.
        wanted: of it.

    Raises:
        InputError: it means none, or another package's that is broken.
        StartError: it can't be listened at.
    """
    if word.startswith(JAEGER):
        page = client_of(JAEGER, word.removeprefix(JAEGER), "http://localhost:16686")
        return JaegerApi(page, wanted.services)
    if word.startswith((OTLP, OTLP_GRPC)):
        return _receiver(word, wanted)
    if word.startswith(TEMPO):
        page = client_of(TEMPO, word.removeprefix(TEMPO), "http://localhost:3200")
        return TempoApi(page, wanted.services, wanted.clock.sleep)
    if word.startswith(CLOUDWATCH):
        return log_group.open_group(word.removeprefix(CLOUDWATCH), wanted.clock.sleep)
    name, colon, rest = word.partition(":")
    if colon and re.fullmatch(NAME, name) and not Path(word).exists():
        opener = SOURCES.get(name)
        if opener is not None:
            return opener(rest, wanted)
    return Files(Path(word), growing=wanted.since_s is not None)


def _receiver(word: str, wanted: Wanted) -> Source:
    scheme = OTLP if word.startswith(OTLP) else OTLP_GRPC
    host, port = address_of(word.removeprefix(scheme), scheme)
    if wanted.since_s is None:
        raise InputError(f"{word}: say how long to listen with --since, or how often to look with --every.")
    keep_s = wanted.since_s + 2 * (wanted.every_s or wanted.since_s) + SLACK_S
    if scheme == OTLP_GRPC:
        return open_grpc_receiver(host, port, keep_s, wanted.clock)
    return open_receiver(host, port, keep_s, wanted.clock, wanted.tell)
