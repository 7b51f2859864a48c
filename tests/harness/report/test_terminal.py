import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.records.outcome import Outcome, RunResult
from harness.report.terminal import summary
from tests.harness.report import sample

REPORT = Path("/home/someone/runs/20260921-141320-5f3a/report.html")


def screen(result: RunResult, width: int = 80, *, colour: bool = False) -> list[str]:
    colours = "standard" if colour else None
    console = Console(width=width, file=io.StringIO(), force_terminal=colour, color_system=colours)
    console.print(summary(result, REPORT), crop=False)
    return console.file.getvalue().splitlines()


def test_three_experiments_with_two_arms_each_fit_one_screen() -> None:
    lines = screen(sample.run()[0])
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def eight() -> RunResult:
    """Return a run of eight experiments that held, each with five arms, two of them controls."""
    result = sample.run()[0]
    first = result.experiments[0]
    arm = replace(first.arms["cached"], control=False)
    control = replace(arm, control=True)
    arms = {"a1": arm, "a2": arm, "c1": control, "a3": arm, "c2": control}
    title = "Busy signal, work after the answer"
    return replace(result, experiments=(replace(first, title=title, arms=arms),) * 8)


def test_eight_experiments_fit_forty_lines() -> None:
    lines = screen(eight())
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80


def test_of_many_experiments_one_that_held_shows_its_first_arm_and_control() -> None:
    text = "\n".join(screen(eight()))
    for name, shown in {"a1": 8, "c1 (control)": 8, "a2": 0, "a3": 0, "c2 (control)": 0}.items():
        assert text.count(f"  {name} ") == shown
    assert f"Report with all arms: {REPORT}" in text


def test_of_many_experiments_one_that_fell_short_shows_every_arm() -> None:
    result = eight()
    fallen = replace(result.experiments[0], verdict=Outcome.FAIL)
    text = "\n".join(screen(replace(result, experiments=(fallen, *result.experiments[1:]))))
    for name in ("a2", "a3", "c2 (control)"):
        assert text.count(f"  {name} ") == 1


def test_without_colour_there_is_no_escape_and_with_it_there_is() -> None:
    assert "\x1b" not in "\n".join(screen(sample.run()[0]))
    assert "\x1b[32m" in "\n".join(screen(sample.run()[0], colour=True))


def test_every_claim_has_its_verdict_and_every_arm_its_row() -> None:
    text = "\n".join(screen(sample.run()[0]))
    for words in (
        "held  Client cache",
        "held  Busy signal",
        "held  Retry",
        "per-request (control)",
        "136 each",
    ):
        assert words in text
    assert "All 3 claims held: 18 of 18 checks held, 5 of 5 in controls." in text
    assert f"Report: {REPORT}" in text


def test_what_fell_short_or_is_unknown_is_said_in_full_with_what_to_do() -> None:
    text = " ".join(" ".join(screen(sample.fallen()[0])).split())
    assert "✗ p99-over-optimum fell short in busy-aware (1,240 tested cases): p99 is 1.23 times" in text
    assert "Answer 503 at the limit and let the balancer hold what no container has a slot for." in text
    assert "trace: http://localhost:16686/trace/20202020202020202020202020202020 " in text
    assert "requests above p99: http://localhost:16686/search?service=locust&" in text
    assert "? herd-share unknown in reference" in text
    assert "Raise the faults' probability." in text
    assert "! blind: the load was late" in text


def test_a_long_name_gives_way_and_never_breaks_a_figure() -> None:
    (cold, *others) = sample.run()[0].experiments
    cached = replace(cold.arms["cached"], requests=100_000, errors=99_999, p50_ms=98_765.4, p99_ms=123_456.7)
    arms = {"arm-" + "long-" * 9: replace(cached, client_inits={"openai": 12_345, "mcp": 3})}
    lines = screen(replace(sample.run()[0], experiments=(replace(cold, arms=arms), *others)))
    row = next(line for line in lines if "100,000" in line)
    for figure in ("99,999", "98,765 ms", "123,457 ms", "12,345 openai, 3 mcp", "24"):
        assert figure in row


def test_a_long_path_is_folded_and_not_cut() -> None:
    path = Path("/" + "deep/" * 30 + "report.html")
    console = Console(width=80, file=io.StringIO())
    console.print(summary(sample.run()[0], path))
    assert str(path) in console.file.getvalue().replace("\n", "")


@pytest.mark.parametrize("hostile", ["[bold]x[/]", "[/]", "[link=http://a]b[/link]"])
def test_markup_in_names_and_messages_stays_text(hostile: str) -> None:
    result = sample.fallen()[0]
    first = result.experiments[0]
    check = replace(first.checks[0], verdict=Outcome.FAIL, message=hostile)
    first = replace(first, title=hostile, arms={hostile: first.arms["cached"]}, checks=(check,))
    text = "\n".join(screen(replace(result, experiments=(first,))))
    assert text.count(hostile) == 3


def test_a_run_of_nothing_is_unknown() -> None:
    nothing = replace(sample.run()[0], verdict=Outcome.UNKNOWN, experiments=())
    assert "Unknown: no experiment was run: 0 of 0 checks held." in "\n".join(screen(nothing))


def test_an_address_is_never_broken_in_two() -> None:
    addresses = [line for line in screen(sample.fallen()[0]) if "/search?" in line]
    assert addresses
    assert all(line.strip().endswith("ms") or line.strip().endswith("%7D") for line in addresses)


def test_without_jaeger_the_trace_is_named() -> None:
    text = " ".join(" ".join(screen(replace(sample.fallen()[0], jaeger_url=None))).split())
    assert "(trace 20202020202020202020202020202020)" in text
    assert "/trace/" not in text
