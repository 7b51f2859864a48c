"""A receiver as a source: what came in lately, and what could not be taken in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.capture.frames import Encoding
from harness.capture.receiver import ReceiverStats
from harness.observe.sources.otlp import Listening, Recent
from harness.observe.sources.source import Time
from tests.harness.observe.test_sources import LINE, WANTED, protobuf, told


@pytest.fixture
def recent(tmp_path: Path) -> Iterator[Recent]:
    recent = Recent(tmp_path, keep_s=600.0)
    yield recent
    recent.close()


def test_what_came_in_is_read_in_each_look_anew(recent: Recent) -> None:
    source = Listening(recent, ReceiverStats(), 0.0, recent.close)
    recent.append(10.0, Encoding.PROTOBUF, protobuf())
    assert told(list(source.spans(Time(from_s=0.0, to_s=20.0)))) == told(list(WANTED))
    recent.append(30.0, Encoding.JSON, LINE)
    assert len(list(source.spans(Time(from_s=0.0, to_s=40.0)))) == 2 * len(WANTED)
    assert source.notes == []


def test_what_is_too_old_is_not_read_and_goes(recent: Recent, tmp_path: Path) -> None:
    for at_s in (0.0, 300.0, 1_000.0, 1_030.0):
        recent.append(at_s, Encoding.JSON, LINE)
    assert len(list(tmp_path.iterdir())) == 1
    recent.append(1_061.0, Encoding.JSON, LINE)
    assert len(list(tmp_path.iterdir())) == 2
    assert len(list(recent.received(1_050.0))) == len(WANTED)


def test_what_comes_in_long_after_it_began_is_told(recent: Recent) -> None:
    """No look has it: in the window in which it comes, it is older than that."""
    source = Listening(recent, ReceiverStats(), 1_700_000_000.0, recent.close)
    for at_s, said in ((5.0, False), (111.0, True)):
        recent.append(1_700_000_000.0 + at_s, Encoding.PROTOBUF, protobuf())
        list(source.spans(Time(from_s=1_700_000_000.0 + at_s - 100.0, to_s=1_700_000_000.0 + at_s)))
        assert bool(source.notes) is said


def test_what_could_not_be_taken_in_is_told_as_long_as_it_would_be_in_the_window(recent: Recent) -> None:
    stats = ReceiverStats()
    source = Listening(recent, stats, 0.0, recent.close)

    def noted(to_s: float) -> list[str]:
        list(source.spans(Time(from_s=to_s - 100.0, to_s=to_s)))
        return source.notes

    assert noted(100.0) == []
    stats.refused_traces += 2
    assert "2 requests or spans" in noted(150.0)[0]
    assert "2 requests or spans" in noted(240.0)[0]
    assert noted(260.0) == []
