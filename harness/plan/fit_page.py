"""The page beside a workload: each fit beside the data, its distance, and what could not be told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from markupsafe import Markup

from harness.plan.calibrate import Calibrated
from harness.plan.fits import Fit
from harness.plan.page import page, table
from harness.plan.words import seconds
from harness.records.workload import Workload
from harness.report import svg
from harness.report.charts import frame
from harness.report.style import style

HEIGHT: Final = 220.0
BOTTOM: Final = HEIGHT - frame.AXIS_HEIGHT
HEADS: Final = ("part", "seen", "family", "median", "p99", "distance", "that of a lognormal")
DRAWN: Final = 60


def to_html(found: Calibrated, again: str) -> str:
    """Write the page of a calibration."""
    workload = found.workload
    body = [
        svg.element("h1", headline(found), class_="unknown" if found.doubts else "pass"),
        *(svg.element("p", sentence) for sentence in sentences(workload)),
        svg.element("div", table(HEADS, list(rows(found))), class_="scroll"),
        *(svg.element("p", f"Doubt: {each}.", class_="callout unknown") for each in workload.doubts),
        *(svg.element("p", f"Unknown: {each}", class_="quiet") for each in workload.unknown),
    ]
    pictures = [
        svg.element("figure", picture(each), svg.element("figcaption", caption(each)))
        for each in found.fits
        if each.seen
    ]
    body.append(svg.element("div", *pictures, class_="pictures"))
    body.append(svg.element("pre", again))
    return page(f"agentrig calibrate: {workload.name}", body)


def headline(found: Calibrated) -> str:
    """Say what was made of what."""
    said = f"{found.workload.name}: {found.workload.requests} requests of {found.workload.source}"
    return f"{said}, with doubts." if found.doubts else f"{said}."


def sentences(workload: Workload) -> Iterator[str]:
    """Yield what is known, in words."""
    told = workload.arrivals
    kind = (
        "a Poisson process"
        if told.dispersion <= 1
        else f"in bursts (index of dispersion {told.dispersion:.2g})"
    )
    day = f", a rate for each of {len(told.steps)} parts of the day" if told.steps else ""
    yield (
        f"{told.rate_rps:.4g} requests/s arrive, {kind}{day}; {workload.sessions.turns:.3g} turns a session."
    )
    service = workload.service
    yield (
        f"A request takes {seconds(service.mean_s)} on average, with {service.mean_calls:.3g} model calls; "
        f"{service.same_request:.0%} of the variance of their length is common to the calls of a request, "
        f"{service.same_session:.0%} to the turns of a session."
    )
    if workload.quota is not None:
        yield (
            f"The model API lets through {workload.quota.rpm:.4g} requests a minute, "
            f"{workload.quota.burst:g} at once."
        )
    retries = workload.retries
    yield (
        f"A call is tried {retries.max_attempts} times at the most, after up to "
        f"{retries.base_s:.3g} s at first."
    )


def rows(found: Calibrated) -> Iterator[tuple[str, ...]]:
    """Yield the table of fits."""
    for each in found.fits:
        told = each.family != "none"
        yield (
            each.part.replace("_", " "),
            str(each.count),
            each.family,
            seconds(each.duration.at(0.5)) if told else "-",
            seconds(each.duration.at(0.99)) if told else "-",
            f"{each.distance:.3f}" if told else "-",
            "-" if each.tried is None else f"{each.tried:.3f}",
        )


def picture(each: Fit) -> Markup:
    """Draw the share of the data that took at most so long, and the fit over it."""
    x = svg.log_scale([value for value in each.seen if value > 0], frame.LEFT, frame.PLOT_RIGHT)
    y = svg.Linear(0, 1, BOTTOM, frame.TOP)
    steps = len(each.seen) - 1
    data = [(x(value), y(number / steps)) for number, value in enumerate(each.seen)]
    levels = [(number + 0.5) / DRAWN for number in range(DRAWN)]
    fitted = [(x(each.duration.at(level)), y(level)) for level in levels]
    parts = [
        frame.y_grid(
            y, [(tick, f"{tick:.0%}") for tick in y.ticks(4)], f"{each.part.replace('_', ' ')}: share"
        ),
        frame.x_axis(x, [(tick, seconds(tick)) for tick in x.ticks()], BOTTOM, "took at most"),
        svg.element("path", d=svg.path(data), class_="line optimum"),
        svg.element("path", d=svg.path(fitted), class_="line hue-b dashed"),
    ]
    label = f"{each.part}: data, and {each.family} with a distance of {each.distance:.3f}"
    return svg.picture(frame.WIDTH, HEIGHT, label, svg.element("style", style()), *parts)


def caption(each: Fit) -> str:
    """Say what a picture shows."""
    return (
        f"{each.part.replace('_', ' ')}: the data (line) and the {each.family} fit (dashed), "
        f"{each.distance:.3f} apart."
    )
