"""What a run says of itself while it goes on, where there is no terminal: plain lines."""

import io

import pytest
from rich.console import Console

from harness.clock import FakeClock
from harness.commands.progress import PLAIN_EVERY_S, Rate, TerminalProgress
from harness.gate.decide import decide
from harness.load.launcher import LoadProgress
from harness.records.outcome import CheckResult, Outcome
from tests.harness.gate.test_decide import blocks


def check(verdict: Outcome, *, control: bool) -> CheckResult:
    return CheckResult(
        id="x",
        arm="a",
        control=control,
        verdict=verdict,
        observed=1.0,
        limit=1.0,
        unit="",
        message="",
    )


def test_what_an_arm_alone_can_tell_is_told_when_it_is_over() -> None:
    out = io.StringIO()
    with TerminalProgress(Console(file=out, width=200), FakeClock().monotonic) as progress:
        progress.arm_judged("cold-start", "cached", [check(Outcome.PASS, control=False)] * 8)
        progress.arm_judged("cold-start", "naive-cache", [check(Outcome.FAIL, control=True)])
        progress.arm_judged("cold-start", "sampled", [])
    assert out.getvalue().splitlines() == [
        "cold-start · cached: so far held (8 of 8 checks held)",
        "cold-start · naive-cache: so far fell short (0 of 1 checks came out as they must)",
    ]


def progress_of(done: int) -> LoadProgress:
    return LoadProgress(
        planned=200, sent=done + 3, done=done, errors=1, in_flight=3, p50_ms=80.0, p99_ms=250.0
    )


def test_a_dumb_terminal_is_told_as_much_as_a_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out, clock = io.StringIO(), FakeClock()
    console = Console(file=out, width=200, force_terminal=True)
    with TerminalProgress(console, clock.monotonic) as progress:
        progress.arm("throttling", "reference", 2, 5, load_s=20.0, left_s=130.0)
        progress.phase("2 agents start")
        clock.sleep(PLAIN_EVERY_S)
        progress.load(progress_of(10), 1.0)
    told = out.getvalue()
    for part in ("starts (load of 20 s", "2 agents start", "10/200"):
        assert part in told
    assert "\x1b[2K" not in told  # nothing is written over


def test_it_tells_arm_rate_p99_and_what_is_left() -> None:
    out, clock = io.StringIO(), FakeClock()
    with TerminalProgress(Console(file=out, width=200), clock.monotonic) as progress:
        progress.arm("throttling", "reference", 2, 5, load_s=20.0, left_s=130.0)
        for second in range(11):
            progress.load(progress_of(second * 10), float(second))
            clock.sleep(1.0)
    first, *_, last = out.getvalue().splitlines()
    assert first == "2/5 throttling · reference: starts (load of 20 s; the run has 2 min left)"
    assert last == (
        "2/5 throttling · reference: 100/200, 10/s, 1 errors, 3 in flight, p99 250 ms, "
        "10 s left, 2 min in all"
    )


def test_plain_lines_come_seldom() -> None:
    out, clock = io.StringIO(), FakeClock()
    with TerminalProgress(Console(file=out, width=200), clock.monotonic) as progress:
        progress.arm("throttling", "reference", 2, 5, load_s=20.0, left_s=50.0)
        for step in range(121):
            progress.load(progress_of(step), step / 10)
            clock.sleep(0.1)
    assert len(out.getvalue().splitlines()) == 1 + 12 // PLAIN_EVERY_S


def test_nothing_is_coloured_where_there_is_no_terminal() -> None:
    out, clock = io.StringIO(), FakeClock()
    with TerminalProgress(Console(file=out), clock.monotonic) as progress:
        progress.arm("a", "b", 1, 1, load_s=1.0, left_s=1.0)
        progress.phase("the fleet starts")
    assert "\x1b" not in out.getvalue()


def test_a_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.now(0.0, 0) is None
    assert rate.now(1.0, 100) is None
    assert rate.now(2.0, 200) == 100.0
    assert rate.now(3.0, 210) == 55.0
    assert rate.now(4.0, 220) == 10.0


def test_an_arm_that_runs_once_more_begins_anew() -> None:
    rate = Rate()
    for elapsed_s, done in ((0.0, 0), (10.0, 40), (48.0, 122)):
        rate.now(elapsed_s, done)
    assert [rate.now(elapsed_s, done) for elapsed_s, done in ((0.0, 0), (4.0, 20), (51.0, 114))] == [
        None,
        5.0,
        2.0,
    ]


def test_before_anything_has_a_title_nothing_stands_before_a_colon() -> None:
    out, clock = io.StringIO(), FakeClock()
    with TerminalProgress(Console(file=out, width=200), clock.monotonic) as progress:
        clock.sleep(PLAIN_EVERY_S)
        progress.load(progress_of(10), 1.0)
        progress.block(1, 24, "steady", "base")
        clock.sleep(PLAIN_EVERY_S)
        progress.load(progress_of(10), 1.0)
        progress.decided(decide(blocks(3)))
        progress.phase("the fleets stop")
    untitled, titled, look, last = out.getvalue().splitlines()
    assert untitled.startswith("10/200, ")
    assert titled.startswith("pair 1 of at most 24 · steady · base: 10/200, ")
    assert look.startswith("after 3 pairs: go on; steady ")
    assert look.endswith(" more")
    assert last == "the fleets stop"
