"""`plan.html`: the plan as one page, in the style of the report."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from harness.plan import words
from harness.plan.asked import Answer
from harness.plan.estimate import Point
from harness.plan.picture import picture
from harness.plan.prices import Prices
from harness.report import svg
from harness.report.style import style


def to_html(found: Answer, prices: Prices | None, again: str) -> str:
    """Write the page of a plan.

    Args:
        found: the plan.
        prices: of containers and tokens, where they were given.
        again: the command that makes it again.
    """
    told = list(words.sentences(found))
    body = [
        svg.element("h1", words.headline(found), class_="fail" if found.best is None else "pass"),
        *(svg.element("p", sentence) for sentence in told),
        svg.element("div", table(words.HEADS, list(words.rows(found, prices))), class_="scroll"),
    ]
    if found.curves:
        caption = (
            "p99 against the rate that arrives, for several numbers of containers. Each dot is a "
            "knee: the highest "
            "rate at which the limit is still met."
        )
        body.append(svg.element("figure", picture(found), svg.element("figcaption", caption)))
        body.append(svg.element("div", table(*_points(found)), class_="scroll"))
    body.append(svg.element("pre", again))
    return page(f"agentrig plan: {found.asked.workload.name}", body)


def page(title: str, body: Sequence[Markup]) -> str:
    """Write a page that needs nothing else."""
    head = svg.element(
        "head",
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        svg.element("title", title),
        svg.element("style", style()),
    )
    return (
        Markup("<!doctype html>\n") + svg.element("html", head, svg.element("body", *body), lang="en") + "\n"
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """Write a table."""
    head = svg.element("thead", svg.element("tr", *(svg.element("th", each, scope="col") for each in heads)))
    lines = (svg.element("tr", *(svg.element("td", each) for each in row)) for row in rows)
    return svg.element("table", head, svg.element("tbody", *lines), class_="quantiles")


def _points(found: Answer) -> tuple[Sequence[str], list[list[str]]]:
    heads = ("containers", "knee, requests/s", "requests/s: p99")
    rows = [
        [str(size), f"{found.knees[size]:.3g}", "; ".join(map(_point, curve))]
        for size, curve in found.curves.items()
    ]
    return heads, rows


def _point(point: Point) -> str:
    return f"{point.rate_rps:.3g}: {words.seconds(point.figures.p99_s)}"
