"""`report.html`: one self-contained page. No script, no font, nothing from the network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.records.outcome import ArmSeries, ArmSummary, CheckResult, ExperimentResult, RunResult
from harness.records.seen import Span
from harness.report import words
from harness.report.charts import attempts, lanes
from harness.report.charts.distribution import (
    QUANTILES,
    Estimate,
    distribution,
    estimate,
    first_tokens,
)
from harness.report.charts.frame import ArmStyle, arm_styles
from harness.report.charts.shares import shares
from harness.report.charts.tail import parts_seen, tail
from harness.report.doubt import doubt, ends, in_ms
from harness.report.jaeger_page import JaegerPage, page_of
from harness.report.style import TEMPLATES, style
from harness.report.waterfall import NS_PER_S, Waterfall, waterfall

MOST_EVIDENCE = 5
"""Waterfalls per arm beside its slowest; the other ids are in the table of checks."""
BEFORE_UNIT = re.compile(rf"(?<=\d) (?=[{words.TIMES}%]|(?:ms|s|each)\b)")
CLOSE_UP_S = 3.0
"""Long enough to see queues grow and drain, short enough to see single requests."""


def to_html(result: RunResult, series: Mapping[tuple[str, str], ArmSeries]) -> str:
    """Write the page of a run.

    Args:
        result: the verdict.
        series: what to draw, by (experiment, arm); an arm without one gets its table only.
    """
    pages = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jaeger = page_of(result)
    sections = [
        Section(
            number=number,
            experiment=experiment,
            series={arm: series.get((experiment.name, arm), ArmSeries()) for arm in experiment.arms},
            jaeger=jaeger,
        )
        for number, experiment in enumerate(result.experiments, start=1)
    ]
    pages.filters["bound"] = _bound
    page = pages.get_template("report.html.j2")
    checks = [check for experiment in result.experiments for check in experiment.checks]
    return words.writable(
        page.render(result=result, sections=sections, checks=checks, words=words, style=style())
    )


def _bound(text: str) -> str:
    """Keep a figure on one line with its unit, and n with its figure."""
    return BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", text).replace(
        "n = ", "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A drawing with what it shows in words."""

    drawing: Markup
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """The row of one curve in the table under the distribution; `hue` is its colour's class."""

    name: str
    hue: str
    control: bool
    n: int
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A waterfall in the page.

    Attributes:
        title: why it is shown.
        since: when it began, in words; empty when nobody knows.
        open: whether it is shown at once: one of the arms under test, and one of the controls.
        anchor: its place in the page.
        link: its address in Jaeger.
        comparison: its address in Jaeger beside a median one.
        style: its arm's.
        trace: its rows.
    """

    title: str
    since: str
    open: bool
    anchor: str
    link: str | None
    comparison: str | None
    style: ArmStyle
    trace: Waterfall


@dataclass(frozen=True, kw_only=True)
class Section:
    """All that the page says of one experiment; what it draws is drawn when it is asked for."""

    number: int
    experiment: ExperimentResult
    series: Mapping[str, ArmSeries]
    jaeger: JaegerPage | None

    @cached_property
    def styles(self) -> dict[str, ArmStyle]:
        """The style of each arm."""
        return arm_styles(self.experiment.arms)

    @cached_property
    def figures(self) -> list[tuple[words.Figure, list[tuple[str, str]]]]:
        """Each figure with its text for every arm, and how sure that is."""
        return [
            (figure, [(text, doubt(figure, *arm)) for text, arm in zip(texts, self._arms, strict=True)])
            for figure, texts in words.figures(self.experiment)
        ]

    @property
    def _arms(self) -> list[tuple[ArmSummary, ArmSeries]]:
        return [(arm, self.series[name]) for name, arm in self.experiment.arms.items()]

    @cached_property
    def distribution(self) -> Markup | None:
        """Latencies of all arms, and the optimum's."""
        return distribution(self.series, self.styles)

    @cached_property
    def first_tokens(self) -> Markup | None:
        """Times to the first token, where answers come in pieces."""
        return first_tokens(self.series, self.styles)

    @cached_property
    def shares(self) -> Markup | None:
        """Requests and seconds per container."""
        return shares(self.experiment.arms, self.styles)

    @cached_property
    def tail(self) -> Markup | None:
        """Where the time of each arm's slowest requests went."""
        return tail(self.experiment.arms)

    @cached_property
    def tail_parts(self) -> tuple[tuple[int, str], ...]:
        """Number and name of the parts that it shows."""
        return parts_seen(self.experiment.arms)

    @cached_property
    def quantiles(self) -> tuple[Quantiles, ...]:
        """p50, p95 and p99 of each curve, with their intervals."""
        rows = [
            _quantiles(
                f"{arm}, all blocks together" if drawn.of_typical_block else arm,
                self.styles[arm].hue,
                drawn.latencies_s,
                control=self.styles[arm].control,
            )
            for arm, drawn in self.series.items()
        ]
        arm, optimum = next(
            ((arm, s.optimum_latencies_s) for arm, s in self.series.items() if s.optimum_latencies_s),
            ("", ()),
        )
        rows.append(_quantiles(f"optimum: one central queue, {arm}", "optimum", optimum, control=False))
        return tuple(row for row in rows if row.n)

    @cached_property
    def lanes(self) -> tuple[tuple[Picture, ...], ...]:
        """Requests in work: for each arm the whole load, and a close-up of the same moment."""
        window = lanes.whole(self.series.values())
        zoom = window[1] > 2 * CLOSE_UP_S
        arriving = lanes.arriving(self.series.values(), window)
        near = lanes.worst(self.series.values(), CLOSE_UP_S, arriving) if zoom else None
        tops = lanes.tallest(self.series.values())
        rows = []
        for arm, drawn in self.series.items():
            overview = lanes.lanes(drawn, self.styles[arm], window, tops)
            if overview is None:
                continue
            pictures = [Picture(drawing=overview, caption=f"{arm}: the whole load")]
            if near and (close := lanes.lanes(drawn, self.styles[arm], near, tops)):
                pictures.append(Picture(drawing=close, caption=f"{arm}: a close-up"))
            rows.append(tuple(pictures))
        return tuple(rows)

    @cached_property
    def lane_height(self) -> str:
        """Say what the full height of a lane stands for."""
        work, waiting = lanes.tallest(self.series.values())
        return f"full height: {work:,} in work, {waiting:,} waiting"

    @cached_property
    def limit_of_lanes(self) -> str:
        """Say how many requests in work make a container busy."""
        limits = sorted({drawn.limit for drawn in self.series.values() if drawn.limit})
        return f"busy: at its limit of {' or '.join(map(str, limits))}" if limits else ""

    @cached_property
    def killed(self) -> bool:
        """Whether any container was killed."""
        return any(event.action == "kill" for drawn in self.series.values() for event in drawn.events)

    @cached_property
    def faults(self) -> bool:
        """Whether the model API had a fault for a time."""
        return any(each.kind == "fault" for drawn in self.series.values() for each in drawn.windows)

    @cached_property
    def attempts(self) -> tuple[Picture, ...]:
        """Model attempts of each arm over time."""
        bins = attempts.grid(self.series.values())
        return tuple(
            Picture(drawing=drawing, caption=f"{arm}: {attempts.description(drawn)}")
            for arm, drawn in self.series.items()
            if (drawing := attempts.attempts(drawn, self.styles[arm], bins))
        )

    @cached_property
    def slowest(self) -> tuple[Drawn, ...]:
        """The slowest trace of each arm."""
        return tuple(
            self._drawn(f"Slowest of {arm}", arm, 0, drawn.traces[0])
            for arm, drawn in self.series.items()
            if drawn.traces
        )

    @cached_property
    def evidence(self) -> tuple[Drawn, ...]:
        """Traces that checks name, a few of each arm."""
        return tuple(
            self._drawn(self._why(arm, spans[0].trace_id), arm, number, spans)
            for arm, drawn in self.series.items()
            for number, spans in enumerate(drawn.traces[1 : 1 + MOST_EVIDENCE], start=1)
        )

    @cached_property
    def _examples(self) -> set[str]:
        """The first arm under test and the first control that have a trace."""
        traced = [arm for arm, drawn in self.series.items() if drawn.traces]
        return {
            next(arm for arm in traced if self.styles[arm].control is control)
            for control in {self.styles[arm].control for arm in traced}
        }

    def address(self, trace_id: str) -> str | None:
        """Return where a trace can be seen: in Jaeger, else in this page, else nowhere."""
        if self.jaeger:
            return self.jaeger.trace(trace_id)
        drawn = (d for d in (*self.slowest, *self.evidence) if d.trace.trace_id == trace_id)
        return next((f"#{d.anchor}" for d in drawn), None)

    def like(self, check: CheckResult) -> tuple[str, str] | None:
        """Return what other traces of a check's kind are, and where Jaeger shows them."""
        return self.jaeger.like(self.experiment, check) if self.jaeger else None

    def limit(self, check: CheckResult) -> str:
        """Write what a check's figure is held against."""
        return words.quantity(check.limit, check.unit)

    def observed(self, check: CheckResult) -> str:
        """Write a check's figure."""
        return words.quantity(check.observed, check.unit)

    def _why(self, arm: str, trace_id: str) -> str:
        ids = dict.fromkeys(
            check.id for check in self.experiment.checks if check.arm == arm and trace_id in check.traces
        )
        return f"Evidence of {', '.join(ids)} in {arm}" if ids else f"Another slow one of {arm}"

    def _drawn(self, title: str, arm: str, number: int, spans: tuple[Span, ...]) -> Drawn:
        trace, jaeger = waterfall(spans), self.jaeger
        place = list(self.series).index(arm) + 1
        since_s = min(span.start_ns for span in spans) / NS_PER_S - self.series[arm].start_s
        return Drawn(
            title=title,
            since=f"{since_s:.1f} s after the load began" if self.series[arm].start_s else "",
            open=not number and arm in self._examples,
            anchor=f"trace-{self.number}-{place}-{number}",
            link=jaeger.trace(trace.trace_id) if jaeger else None,
            comparison=jaeger.comparison(self.experiment.arms[arm], trace.trace_id) if jaeger else None,
            style=self.styles[arm],
            trace=trace,
        )


def _quantiles(name: str, hue: str, latencies_s: Sequence[float], *, control: bool) -> Quantiles:
    ranked = sorted(latencies_s)
    cells = tuple(_cell(estimate(ranked, share)) for share in QUANTILES)
    return Quantiles(name=name, hue=hue, control=control, n=len(ranked), cells=cells)


def _cell(found: Estimate | None) -> tuple[str, str]:
    """Write a quantile, and its interval."""
    if found is None:
        return words.NONE, "too few"
    return f"{in_ms(found.value)} ms", ends(found, in_ms)
