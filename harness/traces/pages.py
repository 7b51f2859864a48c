"""The pages: a search, one trace, two compared. No script, and nothing from outside is ever markup."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.report.charts.distribution import milliseconds
from harness.report.jaeger import to_jaeger
from harness.report.style import style
from harness.report.waterfall import MOST_LETTERS, length_of, waterfall
from harness.traces.compared import compare
from harness.traces.search import Query, parse, search
from harness.traces.store import Trace, TraceStore

MOST_ROWS: Final = 2000
FIELDS: Final = ("service", "name", "tags", "min", "max", "order", "limit", "failed")
TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Page:
    """An answer: its status, its content type and its text."""

    status: int
    kind: str
    text: str


HTML, JSON, TEXT = "text/html; charset=utf-8", "application/json", "text/plain; charset=utf-8"


class Pages:
    """What is answered at each path.

    Args:
        store: the traces.
        of: what they are of, in words.
    """

    def __init__(self, store: TraceStore, of: str) -> None:
        self._store = store
        self._of = of

    def answer(self, path: str, fields: Mapping[str, Sequence[str]]) -> Page:
        """Return the page at a path; `fields` are those of its query."""
        self._store.refresh()
        if path == "/":
            return self._search({name: values[-1] for name, values in fields.items() if name in FIELDS})
        if path == "/compare":
            return self._compare(fields.get("t", ()))
        if path.startswith("/trace/"):
            return self._trace(path.removeprefix("/trace/"))
        return Page(404, TEXT, "there is no such page: / is the search, /trace/ID one trace\n")

    def _search(self, fields: Mapping[str, str]) -> Page:
        problem, status = "", 200
        try:
            query = parse(fields)
        except ValueError as error:
            problem, query, status = str(error), Query(), 400
        traces = list(self._store.traces())
        shown, found = search(traces, query)
        names = {span.service for trace in traces for span in trace.spans}
        names |= {span.instance for trace in traces for span in trace.spans if span.instance}
        longest_s = max((trace.duration_s for trace in shown), default=0.0)
        return self._page(
            "search.html.j2",
            status,
            fields={name: fields.get(name, "") for name in FIELDS},
            problem=problem,
            services=sorted(names),
            found=found,
            known=len(traces),
            dropped=self._store.dropped,
            rows=[_row(trace, longest_s) for trace in shown],
        )

    def _trace(self, name: str) -> Page:
        trace_id, _, kind = name.partition(".")
        trace = self._store.find(trace_id)
        if trace is None:
            return self._gone(trace_id)
        if kind == "json":
            return Page(200, JSON, to_jaeger([trace.spans]))
        drawn = waterfall(trace.spans, MOST_ROWS)
        beside = self._median_like(trace)
        return self._page("trace.html.j2", row=_row(trace, 0.0), trace=drawn, beside=beside)

    def _compare(self, ids: Sequence[str]) -> Page:
        if len(ids) != 2:  # noqa: PLR2004 - two are compared
            return Page(400, TEXT, f"tick two traces to compare them, not {len(ids)}\n")
        traces = [self._store.find(trace_id) for trace_id in ids]
        found = [trace for trace in traces if trace is not None]
        if len(found) < len(ids):
            return self._gone(next(each for each, trace in zip(ids, traces, strict=True) if trace is None))
        longest_ns = max(length_of(trace.spans) for trace in found)
        sides = [
            (_row(trace, 0.0), waterfall(trace.spans, MOST_ROWS, longest_ns), hue)
            for trace, hue in zip(found, "ab", strict=True)
        ]
        parts = [
            {
                "name": part.name,
                "first": _told(part.counts[0], part.seconds[0]),
                "second": _told(part.counts[1], part.seconds[1]),
                "more": f"{'+' if part.more_s > 0 else '-'}{milliseconds(abs(part.more_s))}",
                "sign": "more" if part.more_s > 0 else "less",
            }
            for part in compare(*(trace.spans for trace in found))
        ]
        return self._page("compare.html.j2", sides=sides, parts=parts)

    def _median_like(self, trace: Trace) -> str:
        """Return the id of the median one of the traces with the same root; "" where it is this one."""
        like = [each for each in self._store.traces() if each.root.name == trace.root.name]
        like.sort(key=lambda each: each.duration_s)
        median = like[len(like) // 2].trace_id
        return "" if median == trace.trace_id else median

    def _gone(self, trace_id: str) -> Page:
        return Page(
            404, TEXT, f"there is no trace {trace_id[:32]!a}: it may not have come yet, or not be kept\n"
        )

    def _page(self, template: str, status: int = 200, **content: Any) -> Page:
        text = TEMPLATES.get_template(template).render(style=style(), of=self._of, **content)
        return Page(status, HTML, text)


def _row(trace: Trace, longest_s: float) -> dict[str, Any]:
    """Return a trace as the templates take it."""
    services = Counter(span.service for span in trace.spans)
    began = dt.datetime.fromtimestamp(trace.begin_ns / 1e9, dt.UTC)
    return {
        "trace_id": trace.trace_id,
        "name": trace.root.name[:MOST_LETTERS],
        "took": milliseconds(trace.duration_s),
        "share": round(100 * trace.duration_s / longest_s, 2) if longest_s else 0,
        "spans": len(trace.spans),
        "services": ", ".join(f"{name} {count}" for name, count in services.items())[:MOST_LETTERS],
        "began": f"{began:%H:%M:%S}.{began.microsecond // 1000:03}",
        "failed": trace.failed,
    }


def _told(count: int, seconds: float) -> str:
    return f"{count} in {milliseconds(seconds)}" if count else "none"
