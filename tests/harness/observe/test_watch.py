"""Look after look: a line and figures for each, reports of what changed, and a source that goes away."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.clock import FakeClock
from harness.errors import InputError, StartError
from harness.observe.look import Look
from harness.observe.metrics import Metrics
from harness.observe.sources.source import Time
from harness.observe.watch import MOST_REPORTS, Watch, watch
from harness.records.outcome import Outcome
from harness.records.seen import Span
from tests.harness.observe.seen import InMemory, limits_of, look_at, spans_of

SOUND, BROKEN = spans_of("clients", "sound"), spans_of("clients", "per-request")
MADE = ("init-once", "no-errors")
AWAY = StartError("http://jaeger: does not answer")


def watched(look: Look, times: int, every_s: float = 60.0) -> tuple[Outcome, list[str], Metrics, FakeClock]:
    lines, clock, metrics = list[str](), FakeClock(), Metrics(every_s, 3_600.0)
    asked = Watch(look=look, every_s=every_s, times=times, metrics=metrics, tell=lines.append)
    return watch(asked, clock), lines, metrics, clock


def figure(metrics: Metrics, series: str) -> float | None:
    lines = [line.rsplit(" ", 1) for line in metrics.text().decode().splitlines()]
    return next((float(value) for name, value in lines if name == f"agentrig_observe_{series}"), None)


def test_each_window_is_a_line_and_only_a_change_is_a_report(tmp_path: Path) -> None:
    source = InMemory(SOUND, SOUND, BROKEN, BROKEN, SOUND)
    verdict, lines, _, clock = watched(look_at(source, limits_of("clients"), tmp_path, MADE), 5)
    assert verdict is Outcome.FAIL
    assert len(lines) == 5
    assert ["fell short" in line for line in lines] == [False, False, True, True, False]
    assert "init-once" in lines[2]
    assert ["report.html" in line for line in lines] == [True, False, True, False, True]
    assert len(list(tmp_path.glob("observe-*/report.html"))) == 3
    assert clock.slept == [60.0] * 4


def test_what_is_served_was_told_before(tmp_path: Path) -> None:
    """Who reads the figures, and ends the watch then, has the line of that window."""
    metrics, served = Metrics(60.0, 3_600.0), list[float | None]()
    asked = Watch(
        look=look_at(InMemory(SOUND, SOUND), limits_of("clients"), tmp_path, MADE),
        every_s=60.0,
        times=2,
        metrics=metrics,
        tell=lambda _: served.append(figure(metrics, 'windows_total{verdict="pass"}')),
    )
    watch(asked, FakeClock())
    assert [count or 0 for count in served] == [0, 1]


def test_a_source_that_goes_away_is_unknown_and_asked_again(tmp_path: Path) -> None:
    source = InMemory(SOUND, AWAY, InputError("no span tells of an agent"), SOUND)
    verdict, lines, metrics, _ = watched(look_at(source, limits_of("clients"), tmp_path, MADE), 2)
    assert verdict is Outcome.UNKNOWN
    assert "unknown: http://jaeger: does not answer" in lines[1]
    assert figure(metrics, "source_up") == 0
    assert figure(metrics, 'verdict{service="agent (clients/sound)",verdict="pass"}') is None
    assert figure(metrics, 'windows_total{verdict="unknown"}') == 1
    _, lines, metrics, _ = watched(look_at(source, limits_of("clients"), tmp_path / "later", MADE), 2)
    assert "no span tells" in lines[0]
    assert "held:" in lines[1]
    assert figure(metrics, "source_up") == 1


def test_figures_and_verdicts_are_those_of_the_newest_window(tmp_path: Path) -> None:
    source = InMemory(SOUND, BROKEN)
    _, _, metrics, clock = watched(look_at(source, limits_of("clients"), tmp_path, MADE), 2)
    mine = 'service="agent (clients/per-request)"'
    assert figure(metrics, f'check{{check="init-once",{mine},verdict="fail"}}') == 1
    assert figure(metrics, f'check{{check="init-once",{mine},verdict="pass"}}') == 0
    assert figure(metrics, f"requests{{{mine}}}") == len({span.trace_id for span in BROKEN})
    assert (figure(metrics, f'check_value{{check="init-once",{mine}}}') or 0) > 1
    assert figure(metrics, "last_window_timestamp_seconds") == clock.now()
    assert "clients/sound" not in metrics.text().decode()


def test_a_look_that_takes_longer_than_the_interval_delays_the_next_and_no_more(tmp_path: Path) -> None:
    clock, lines = FakeClock(), list[str]()

    class Slow(InMemory):
        def spans(self, time: Time) -> Iterator[Span]:
            clock.advance(90.0)
            yield from SOUND

    metrics = Metrics(60.0, 3_600.0)
    look = look_at(Slow(SOUND), limits_of("clients"), tmp_path, MADE)
    watch(Watch(look=look, every_s=60.0, times=3, metrics=metrics, tell=lines.append), clock)
    assert clock.slept == [0.0, 0.0]
    assert figure(metrics, "look_seconds") == 90.0


def test_a_clock_that_goes_on_between_two_looks_at_it_makes_no_negative_wait(tmp_path: Path) -> None:
    class Ticking(FakeClock):
        def monotonic(self) -> float:
            self.advance(0.001)
            return super().monotonic()

        def sleep(self, seconds: float) -> None:
            assert seconds >= 0
            super().sleep(seconds)

    look = look_at(InMemory(AWAY), limits_of("clients"), tmp_path, MADE)
    asked = Watch(look=look, every_s=0.001, times=3, metrics=Metrics(1.0, 60.0), tell=lambda _: None)
    assert watch(asked, Ticking()) is Outcome.UNKNOWN


def test_the_oldest_reports_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.observe.watch.MOST_REPORTS", 2)
    assert MOST_REPORTS > 2
    source = InMemory(*[SOUND, BROKEN] * 2)
    watched(look_at(source, limits_of("clients"), tmp_path, MADE), 4)
    assert len(list(tmp_path.glob("observe-*"))) == 2


def test_a_disk_that_takes_no_report_ends_no_watch(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    verdict, lines, _, _ = watched(look_at(InMemory(SOUND), limits_of("clients"), file, MADE), 2)
    assert verdict is Outcome.PASS
    assert "no report" in lines[1]


def test_time_that_no_window_looks_at_is_told(tmp_path: Path) -> None:
    look = replace(look_at(InMemory(SOUND, AWAY, SOUND), limits_of("clients"), tmp_path, MADE), since_s=90.0)
    lines = watched(look, 3, every_s=70.0)[1]
    assert ["nothing looked at the 60 s before it" in line for line in lines] == [False, False, True]
    look = replace(look_at(InMemory(SOUND), limits_of("clients"), tmp_path, MADE), since_s=90.0)
    assert not any("nothing looked at" in line for line in watched(look, 3, every_s=70.0)[1])


def test_before_the_first_window_nothing_is_claimed() -> None:
    metrics = Metrics(60.0, 3_600.0)
    assert figure(metrics, "source_up") is None
    assert figure(metrics, 'windows_total{verdict="pass"}') == 0
