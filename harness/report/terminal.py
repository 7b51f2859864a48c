"""The verdict on one screen of a terminal: 80 columns, with or without colour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.records.outcome import ArmSummary, CheckResult, ExperimentResult, Outcome, RunResult
from harness.report import words
from harness.report.jaeger_page import JaegerPage, page_of

STYLES = {
    Outcome.PASS: "green",
    Outcome.FAIL: "bold red",
    Outcome.UNKNOWN: "bold yellow",
    Outcome.NOT_MADE: "dim",
}
COLUMNS = (words.REQUESTS, words.ERRORS, words.P50, words.P99)
MOST_FIGURES = 2
"""So many of an experiment's own figures fit beside the common ones at 80 columns."""
FEW = 4
"""Of more experiments than these, one that held shows one arm beside one control: a screen is short."""
MOST_LINKED = 3
"""Traces of a check that are linked here; the page links all of them."""


def summary(result: RunResult, report: Path) -> RenderableType:
    """Tell a run's verdict on one screen.

    Args:
        result: the verdict.
        report: where the page with all the rest is.
    """
    parts: list[RenderableType] = [Text(" · ".join(_about(result)), style="dim")]
    page = page_of(result)
    many = len(result.experiments) > FEW
    for experiment in result.experiments:
        arms = _two(experiment) if many and experiment.verdict is Outcome.PASS else experiment.arms
        parts += [_verdict(experiment), Padding(_arms(experiment, arms), (0, 0, 0, 2))]
        parts += _open(experiment, page)
    checks = [check for experiment in result.experiments for check in experiment.checks]
    parts += [
        Text(),
        Text.assemble((words.headline(result), STYLES[result.verdict]), f": {words.tally(checks)}."),
        Text(f"Report{' with all arms' if many else ''}: {report}", overflow="fold"),
    ]
    return Group(*parts)


def cells_summary(
    by_setting: Mapping[str, Sequence[ExperimentResult]],
    title: str,
    figure: Callable[[Sequence[ArmSummary]], str],
    files: Sequence[Path],
) -> RenderableType:
    """Tell on one screen how the cells of a matrix came out.

    Args:
        by_setting: the cells, those that differ only in their seed together.
        title: says what the table tells.
        figure: writes what is told of an arm, from its summaries in the cells of a setting.
        files: where all the rest is.
    """
    cells = [cell for repeated in by_setting.values() for cell in repeated]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("setting", overflow="fold")
    arms = list(dict.fromkeys(arm for cell in cells for arm in cell.arms))
    for arm in arms:
        table.add_column(arm, justify="right", no_wrap=True)
    for setting, repeated in by_setting.items():
        summaries = [[cell.arms[arm] for cell in repeated if arm in cell.arms] for arm in arms]
        table.add_row(Text(setting), *(Text(figure(each)) for each in summaries))
    parts: list[RenderableType] = [Text(title, style="bold"), table, Text()]
    for cell in cells:
        for check in words.open_checks(cell):
            parts.append(Text(f"{cell.name}:", overflow="fold"))
            parts.append(Padding(_check(check, None), (0, 0, 0, 2)))
    parts.append(Text(words.cells(cells)))
    parts += [Text(str(file), overflow="fold") for file in files]
    return Group(*parts)


def _two(experiment: ExperimentResult) -> dict[str, ArmSummary]:
    """Return the first arm and the first control, or what there is of them."""
    arms = experiment.arms.items()
    first = [next((pair for pair in arms if pair[1].control is control), None) for control in (False, True)]
    return dict(filter(None, first))


def _about(result: RunResult) -> Iterator[str]:
    yield f"agentrig {result.version}".strip()
    yield f"run {result.run_id}"
    yield f"took {words.seconds(result.duration_s)}"
    if result.quick:
        yield "quick form"


def _verdict(experiment: ExperimentResult) -> Text:
    verdict = experiment.verdict
    held = words.held(experiment)
    if verdict is Outcome.PASS:  # the line begins with it, and all controls were as they must be
        mine = words.tally([check for check in experiment.checks if not check.control])
        held = mine.replace(" checks held", " checks", 1)
    return Text.assemble(
        (f"{words.MARKS[verdict]} {words.WORDS[verdict]}", STYLES[verdict]),
        "  ",
        (experiment.title, "bold"),
        f"  {experiment.name}, {held}{words.scaled(experiment)}",
    )


def _arms(experiment: ExperimentResult, arms: Mapping[str, ArmSummary]) -> Table:
    figures = (*COLUMNS, *words.leading_figures(experiment)[:MOST_FIGURES])
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("arm", overflow="fold")  # gives way to the figures, which must not be broken
    for figure in figures:
        table.add_column(figure.short, justify="right", no_wrap=True)
    for name, arm in arms.items():
        label = Text(f"{name} (control)" if arm.control else name)
        table.add_row(label, *(Text(figure.text(arm)) for figure in figures))
    return table


def _open(experiment: ExperimentResult, page: JaegerPage | None) -> Iterator[RenderableType]:
    if said := words.without_a_check(experiment):
        yield Padding(Text.assemble(("? ", "yellow"), said), (0, 0, 0, 2))
    for check in words.open_checks(experiment):
        yield Padding(_check(check, page), (0, 0, 0, 2))
        yield from _links(experiment, check, page)
    for arm, warning in words.warnings(experiment):
        yield Padding(Text.assemble(("! ", "yellow"), f"{arm}: {warning}"), (0, 0, 0, 2))


def _check(check: CheckResult, page: JaegerPage | None) -> Text:
    text = Text.assemble(
        (f"{words.MARKS[check.verdict]} {check.id} {words.WORDS[check.verdict]}", STYLES[check.verdict]),
        f" in {check.arm}{words.rests_on(check)}: {check.message}",
    )
    if check.traces and page is None:
        text.append(f" (trace {check.traces[0]})")
    return text


def _links(experiment: ExperimentResult, check: CheckResult, page: JaegerPage | None) -> Iterator[Text]:
    """Yield a line for each place in Jaeger where a check can be looked into; none is broken in two."""
    if page is None:
        return
    for what, address in page.of_check(experiment, check, MOST_LINKED):
        yield Text(f"    {what}: {address}", no_wrap=True, overflow="ignore")
