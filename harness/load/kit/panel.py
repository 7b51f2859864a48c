"""What Locust's web page lacks: exact percentiles, arrivals, containers, and the slowest traces."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import flask
import gevent
import httpx

from harness.contract import METRICS
from harness.load.kit.page import Table, render
from harness.load.kit.strangers import behind_login
from harness.load.kit.tally import Tally
from harness.outside.http import control_client
from harness.records.setup import Container
from harness.records.up_state import UpState

if TYPE_CHECKING:  # importing Locust patches the process
    from locust.web import WebUI

PATH = "/agentrig"
NAMELESS: Mapping[str, str] = MappingProxyType({})
POLL_S = 1.0
TIMEOUT_S = 2.0
GAUGE = re.compile(r"^agentrig_(inflight|busy|inflight_limit)(?:\{[^}\n]*\})? (\S+)$", re.MULTILINE)
ARRIVALS, CONTAINERS, SLOWEST = "agentrig-arrivals", "agentrig-containers", "agentrig-slowest"
TABLES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    ARRIVALS: (
        "Open arrivals",
        {
            "p50_ms": "p50 (ms)",
            "p95_ms": "p95 (ms)",
            "p99_ms": "p99 (ms)",
            "p999_ms": "p99.9 (ms)",
            "p99_all_ms": "p99 with failed (ms)",
            "ttfb_p99_ms": "First byte p99 (ms)",
            "ttft_p50_ms": "First token p50 (ms)",
            "ttft_p99_ms": "First token p99 (ms)",
            "due": "Due",
            "sent": "Sent",
            "late": "Sent late",
            "dropped": "Dropped",
            "in_flight": "In flight",
            "failed": "Failed",
        },
    ),
    CONTAINERS: (
        "Containers",
        {"name": "Container", "served": "Answers", "share": "Share", "inflight": "In flight", "busy": "Busy"},
    ),
    SLOWEST: (
        "Slowest traces",
        {"latency_ms": "Latency (ms)", "status": "Status", "container": "Container", "trace": "Trace"},
    ),
}
"""Key, title and columns of each tab."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the panel shows: the tally of all processes, and the page on which traces can be seen."""

    tally: Tally
    traces_url: str | None


def install(web_ui: WebUI, figures: Callable[[], Figures | None], up: Callable[[], UpState | None]) -> None:
    """Add the tabs to Locust's page, their data to what it polls, and a page of our own.

    Args:
        web_ui: Locust's.
        figures: returns what there is to show, None before the first test.
        up: returns the fleet whose containers are asked for their gauges, None when there is none.
    """

    def containers() -> tuple[Container, ...]:
        fleet = up()
        return fleet.containers if fleet else ()

    def names() -> dict[str, str]:
        return {container.address: container.name for container in containers()}

    gauges = Gauges(containers)
    gevent.spawn(gauges.follow)
    web_ui.template_args |= {
        "extended_tabs": [{"title": title, "key": key} for key, (title, _) in TABLES.items()],
        "extended_tables": [
            {"key": key, "structure": [{"key": name, "title": text} for name, text in columns.items()]}
            for key, (_, columns) in TABLES.items()
        ],
    }
    if web_ui.app is None:
        return

    @web_ui.app.after_request
    def extend(response: flask.Response) -> flask.Response:
        if flask.request.path.endswith("/stats/requests") and (shown := figures()) is not None:
            stats = {**(response.json or {}), "extended_stats": extended_stats(shown, gauges.latest, names())}
            response.set_data(json.dumps(stats))
        return response

    def page() -> str:
        shown = figures()
        return render(() if shown is None else tables(shown, gauges.latest, names()))

    web_ui.app.add_url_rule(PATH, view_func=behind_login(web_ui, page))


def extended_stats(
    shown: Figures, gauges: Mapping[str, Mapping[str, float]], names: Mapping[str, str] = NAMELESS
) -> list[dict[str, Any]]:
    """Return the rows of all tabs, as Locust's page takes them; `names` are the containers', by address."""
    tally = shown.tally
    return [
        {"key": ARRIVALS, "data": [arrivals_row(tally)]},
        {"key": CONTAINERS, "data": container_rows(tally, gauges, names)},
        {"key": SLOWEST, "data": slow_rows(tally, shown.traces_url, names)},
    ]


def tables(
    shown: Figures, gauges: Mapping[str, Mapping[str, float]], names: Mapping[str, str] = NAMELESS
) -> list[Table]:
    """Return title, columns and rows of all tables, for the page of our own."""
    return [(*TABLES[entry["key"]], entry["data"]) for entry in extended_stats(shown, gauges, names)]


def arrivals_row(tally: Tally) -> dict[str, Any]:
    """Return exact percentiles of the successes, p99 of all calls, and what became of the arrivals."""
    quantiles = {"p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0, "p999_ms": 99.9}
    counts = tally.counts
    return {
        **{name: _rounded(tally.quantile_ms(percent)) for name, percent in quantiles.items()},
        "p99_all_ms": _rounded(tally.quantile_of_all_ms(99)),
        "ttfb_p99_ms": _rounded(tally.ttfb_ms(99)),
        "ttft_p50_ms": _rounded(tally.ttft_ms(50)),
        "ttft_p99_ms": _rounded(tally.ttft_ms(99)),
        "due": counts.due,
        "sent": counts.sent,
        "late": counts.late,
        "dropped": counts.dropped,
        "in_flight": counts.in_flight,
        "failed": tally.errors,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def container_rows(
    tally: Tally, gauges: Mapping[str, Mapping[str, float]], names: Mapping[str, str] = NAMELESS
) -> list[dict[str, Any]]:
    """Return a row per container, in the order of their names, or of their addresses where nobody knows."""
    whole = sum(tally.upstreams.values())
    rows = []
    for address in sorted({*tally.upstreams, *gauges}, key=lambda address: names.get(address, address)):
        served, gauge = tally.upstreams[address], gauges.get(address, {})
        in_flight = gauge.get("inflight")
        rows.append(
            {
                "name": names.get(address, address),
                "served": served,
                "share": f"{served / whole:.1%}" if whole else "",
                "inflight": None if in_flight is None else int(in_flight),
                "busy": {0.0: "no", 1.0: "yes"}.get(gauge.get("busy", -1.0), ""),
            }
        )
    return rows


def slow_rows(
    tally: Tally, traces_url: str | None, names: Mapping[str, str] = NAMELESS
) -> list[dict[str, Any]]:
    """Return the slowest calls, the worst first, with the address of each trace or its id."""
    base = f"{traces_url.rstrip('/')}/trace/" if traces_url else ""
    return [
        {
            "latency_ms": round(slow.latency_ms, 1),
            "status": slow.status or "none",
            "container": names.get(slow.upstream or "", slow.upstream),
            "trace": base + slow.trace_id,
        }
        for slow in sorted(tally.slowest, reverse=True)
    ]


class Gauges:
    """The containers' own figures, asked for once a second.

    Attributes:
        latest: per address, the newest gauges by name.
    """

    def __init__(self, containers: Callable[[], Iterable[Container]]) -> None:
        """Ask those that `containers` returns: another fleet may come up."""
        self.latest: dict[str, dict[str, float]] = {}
        self._containers = containers

    def follow(self) -> None:
        """Ask for ever."""
        with control_client(TIMEOUT_S) as client:
            while True:
                self.latest = {each.address: _ask(client, each.address) for each in self._containers()}
                gevent.sleep(POLL_S)


def parse(text: str) -> dict[str, float]:
    """Return the gauges in a Prometheus exposition; what is no number is not known."""
    found = {}
    for name, value in GAUGE.findall(text):
        with suppress(ValueError):
            number = float(value)
            if math.isfinite(number):  # an agent may say NaN of what it has not measured
                found[name] = number
    return found


def _ask(client: httpx.Client, address: str) -> dict[str, float]:
    try:
        return parse(client.get(f"http://{address}{METRICS}").raise_for_status().text)
    except httpx.HTTPError:
        return {}
