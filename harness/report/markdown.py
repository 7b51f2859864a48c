"""`summary.md`: the verdict as GitHub-flavoured Markdown, for a pull request or a step summary."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence

from harness.records.outcome import CheckResult, ExperimentResult, RunResult
from harness.report import words
from harness.report.jaeger_page import JaegerPage, page_of

SPECIAL = re.compile(r"([\\`*_\[\]|~#!])")
TELLS_SOMEBODY = re.compile(r"(@|#(?=\d))")
"""What begins a mention of a person or of an issue. GitHub looks for them in the text that is shown, so that
no escape and no entity hides one: only a space of no width after the sign does."""
TRACES = 3
"""Named of each check that is open."""
SYMBOLS = {"pass": "✅", "fail": "❌", "unknown": "❔", "not_made": "⚪"}


def to_markdown(result: RunResult) -> str:
    """Write a verdict as Markdown. Text from outside shows as text, and mentions nobody."""
    lines = [
        f"## {SYMBOLS[result.verdict]} agentrig: {escape(words.headline(result))}",
        "",
        *(
            f"- {SYMBOLS[experiment.verdict]} **{escape(experiment.title)}**: "
            f"{escape(words.sentence(experiment))}"
            for experiment in result.experiments
        ),
        "",
    ]
    page = page_of(result)
    for experiment in result.experiments:
        lines += _experiment(experiment, page)
    lines += [
        f"Run again: {code(words.run_again(result))}  ",
        escape(" · ".join(words.about(result))),
    ]
    return words.writable("\n".join(lines)) + "\n"


def escape(text: str) -> str:
    """Make text safe in a line or a table cell: no markup, no HTML, no mention, no line break."""
    escaped = SPECIAL.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))
    return TELLS_SOMEBODY.sub(r"\1&#8203;", escaped)


def code(text: str) -> str:
    """Write text as code within a line: nothing in it is markup, and it ends where it should."""
    return f"`{' '.join(text.split()).replace('`', '')}`"


def _experiment(experiment: ExperimentResult, page: JaegerPage | None) -> Iterator[str]:
    columns = (words.REQUESTS, words.ERRORS, words.P50, words.P99, *words.leading_figures(experiment))
    yield f"### {escape(experiment.title)} ({escape(experiment.name)})"
    yield ""
    yield from _table(
        ("arm", *(figure.label for figure in columns)),
        (
            (f"{name} (control)" if arm.control else name, *(figure.text(arm) for figure in columns))
            for name, arm in experiment.arms.items()
        ),
    )
    for check in words.open_checks(experiment):
        traces = ", ".join(_trace(trace, page) for trace in check.traces[:TRACES])
        yield (
            f"- {SYMBOLS[check.verdict]} **{escape(check.id)}** in {escape(check.arm)}"
            f"{words.rests_on(check)}: {escape(check.message)}" + (f" (traces: {traces})" if traces else "")
        )
    for arm, warning in words.warnings(experiment):
        yield f"- ⚠️ {escape(arm)}: {escape(warning)}"
    yield f"<details><summary>{words.held(experiment)}{words.scaled(experiment)}</summary>"
    yield ""
    yield from _table(
        ("", "check", "arm", "observed", "limit", "tested cases", "message"), map(_check, experiment.checks)
    )
    yield "</details>"
    yield ""


def _trace(trace: str, page: JaegerPage | None) -> str:
    return f"[{escape(trace[:8])}]({page.trace(trace)})" if page else escape(trace)


def _check(check: CheckResult) -> tuple[str, ...]:
    return (
        f"{SYMBOLS[check.verdict]} {words.WORDS[check.verdict]}",
        check.id,
        check.arm,
        words.quantity(check.observed, check.unit),
        words.quantity(check.limit, check.unit),
        words.tested(check),
        check.message,
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(escape, row))} |"
    yield ""
