"""The trend of a history: each figure over its sessions, changes of level marked; a page without script."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from harness.gate.baseline import Baseline, differences
from harness.gate.blocks import MEASURES, Measure
from harness.gate.changes import LEAST_SESSIONS, Segment, segments
from harness.report import words

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 170, 64, 14, 24
"""Of a picture, in its own units."""
STYLE: Final = """
:root { color-scheme: light dark; --text: #1c2127; --quiet: #5c6570; --line: #d5dae0; --page: #fff;
  --level: #1f6feb; --worse: #c4320a; --better: #0a7d33 }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ed; --quiet: #9aa4af; --line: #3a424b; --page: #14181c;
    --level: #6ea8fe; --worse: #ff8a65; --better: #5cd18b } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  max-width: 760px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin: 2rem 0 .2rem } p { margin: .2rem 0 }
.quiet { color: var(--quiet) } svg { width: 100%; height: auto }
text { font: 11px system-ui, sans-serif; fill: var(--quiet) } circle { fill: var(--quiet) }
.axis { stroke: var(--line) } .level { stroke: var(--level); stroke-width: 2; fill: none }
.worse, .better { stroke: var(--worse); stroke-dasharray: 4 3 } .better { stroke: var(--better) }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A figure of a scenario over its sessions.

    Attributes:
        scenario, measure: which.
        sessions: those that have it, in order.
        figures: of these.
        levels: the stretches in which it stayed the same.
    """

    scenario: str
    measure: Measure
    sessions: tuple[Baseline, ...]
    figures: tuple[float, ...]
    levels: tuple[Segment, ...]

    @property
    def times(self) -> float:
        """The last level over the first."""
        return self.levels[-1].level / self.levels[0].level

    @property
    def changes(self) -> tuple[str, ...]:
        """Say each change, a sentence each."""
        said = []
        for before, after in pairwise(self.levels):
            session = self.sessions[after.first]
            said.append(
                f"{words.times(after.level / before.level)} from {session.label} on ({_day(session)}): "
                f"{_figure(before.level, self.measure)} before, {_figure(after.level, self.measure)} after"
            )
        return tuple(said)


def trends(history: Sequence[Baseline]) -> tuple[list[Trend], list[str]]:
    """Return the trend of each figure, and which sessions were left out and why, a sentence each.

    Sessions under other conditions than the newest of their scenario are left out: another machine is another
    level.
    """
    found, left_out = list[Trend](), list[str]()
    for scenario in sorted({each.scenario for each in history}):
        mine = sorted((each for each in history if each.scenario == scenario), key=lambda each: each.saved_s)
        like = [each for each in mine if not differences([each], mine[-1])]
        if len(like) < len(mine):
            why = "; ".join(differences(mine, mine[-1]))
            left_out.append(f"{scenario}: {len(mine) - len(like)} of {len(mine)} sessions left out: {why}")
        for measure in MEASURES:
            having = [each for each in like if each.figures.get(measure.name, 0.0) > 0]
            if having:
                figures = tuple(each.figures[measure.name] for each in having)
                found.append(
                    Trend(
                        scenario=scenario,
                        measure=measure,
                        sessions=tuple(having),
                        figures=figures,
                        levels=tuple(segments(figures)),
                    )
                )
    return found, left_out


def to_page(found: Sequence[Trend], left_out: Sequence[str], made: str) -> str:
    """Write the page.

    Args:
        found: the trends; those that rose most come first.
        left_out: what did not count, a sentence each.
        made: by what, and of what.
    """
    changed = sorted((each for each in found if each.changes), key=lambda each: -each.times)
    calm = [each for each in found if not each.changes]
    head = (
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
    )
    about = (
        f"{made}. A point is a session; the line is the level, and a dashed one a change. "
        f"With fewer than {LEAST_SESSIONS} sessions none can be told."
    )
    lines = [
        "<!doctype html>",
        head,
        f"<title>agentrig trend</title><style>{STYLE}</style></head><body>",
        f"<h1>{len(changed)} of {len(found)} figures changed</h1>",
        *(f'<p class="quiet">{html.escape(each)}</p>' for each in (about, *left_out)),
    ]
    for trend in (*changed, *calm):
        lines += _section(trend)
    return words.writable("\n".join([*lines, "</body></html>"])) + "\n"


def _section(trend: Trend) -> Iterator[str]:
    yield f"<h2>{html.escape(f'{trend.scenario}: {trend.measure.name}')}</h2>"
    if trend.changes:
        yield f"<p>{words.times(trend.times)} of what it was</p><ul>"
        yield from (f"<li>{html.escape(each)}</li>" for each in trend.changes)
        yield "</ul>"
    else:
        yield f'<p class="quiet">the same level over {len(trend.figures)} sessions</p>'
    yield _picture(trend)


def _picture(trend: Trend) -> str:
    low, high = min(trend.figures), max(trend.figures)
    room = (high - low) * 0.15 or high * 0.1 or 1.0
    low, high = low - room, high + room
    last = max(len(trend.figures) - 1, 1)

    def x(number: float) -> float:
        return LEFT + (WIDTH - LEFT - 12) * (number + 0.5) / (last + 1)

    def y(figure: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - figure) / (high - low)

    name = html.escape(f"{trend.measure.name} of {len(trend.figures)} sessions")
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">']
    for figure in (min(trend.figures), max(trend.figures)):
        ends = f'x1="{LEFT}" x2="{WIDTH}" y1="{y(figure):.1f}" y2="{y(figure):.1f}"'
        parts.append(f'<line class="axis" {ends}/>')
        label = html.escape(_figure(figure, trend.measure))
        parts.append(f'<text x="{LEFT - 6}" y="{y(figure) + 4:.1f}" text-anchor="end">{label}</text>')
    for before, after in pairwise(trend.levels):
        at, kind = x(after.first - 0.5), "worse" if after.level > before.level else "better"
        parts.append(f'<line class="{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        label = html.escape(trend.sessions[after.first].label)
        parts.append(f'<text x="{at + 4:.1f}" y="{TOP - 3}">{label}</text>')
    for level in trend.levels:
        ends = f'x1="{x(level.first - 0.4):.1f}" x2="{x(level.last + 0.4):.1f}"'
        parts.append(f'<line class="level" {ends} y1="{y(level.level):.1f}" y2="{y(level.level):.1f}"/>')
    for number, (session, figure) in enumerate(zip(trend.sessions, trend.figures, strict=True)):
        told = html.escape(f"{session.label}, {_day(session)}: {_figure(figure, trend.measure)}")
        parts.append(
            f'<circle cx="{x(number):.1f}" cy="{y(figure):.1f}" r="3"><title>{told}</title></circle>'
        )
    first, newest = html.escape(_day(trend.sessions[0])), html.escape(_day(trend.sessions[-1]))
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">{first}</text>')
    parts.append(f'<text x="{WIDTH - 4}" y="{HEIGHT - 6}" text-anchor="end">{newest}</text></svg>')
    return "".join(parts)


def _figure(figure: float, measure: Measure) -> str:
    return f"{figure:.4g}" if measure.unit == "1" else f"{figure:.4g} {measure.unit}"


def _day(session: Baseline) -> str:
    return datetime.fromtimestamp(session.saved_s, UTC).strftime("%Y-%m-%d")
