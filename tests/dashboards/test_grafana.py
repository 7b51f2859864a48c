import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.grafana.__main__ import ALL, files
from dashboards.grafana.render import dashboard

FOLDER = Path(__file__).parents[2] / "dashboards" / "grafana"
PANELS = [
    pytest.param(panel, id=f"{told.name}: {panel['title']}")
    for told in ALL
    for panel in dashboard(told)["panels"]
]
BUILT_IN = {"__rate_interval", "__from", "__to"}
FIXED_LENGTH = re.compile(r"\[\d+[smhd]\]")
VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def provisioned(kind: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / "provisioning" / kind / "agentrig.yml").read_text())


def test_what_grafana_loads_is_what_the_code_says() -> None:
    committed = {path: path.read_text() for path in (FOLDER / "json").iterdir()}
    assert committed == files(), "run `python -m dashboards.grafana`"


def test_there_is_a_dashboard_for_each_question() -> None:
    assert [told.title for told in ALL] == [
        "agentrig: Fleet",
        "agentrig: Cold and warm",
        "agentrig: Throttling and retries",
        "agentrig: Load",
        "agentrig: Production",
    ]


@pytest.mark.parametrize("told", ALL, ids=lambda told: told.name)
def test_panels_lie_beside_each_other_within_the_width_of_the_page(told: Any) -> None:
    panels = dashboard(told)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert not [(a, b) for a, b in combinations(places, 2) if overlap(a, b)]


def overlap(a: dict[str, int], b: dict[str, int]) -> bool:
    apart_x = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    return not (apart_x or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"])


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert len({target["legendFormat"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("panel", PANELS)
def test_rates_span_what_grafana_finds_right_for_the_zoom(panel: dict[str, Any]) -> None:
    assert not [t["expr"] for t in panel["targets"] if FIXED_LENGTH.search(t["expr"])]


@pytest.mark.parametrize("told", ALL, ids=lambda told: told.name)
def test_every_variable_that_is_asked_for_is_there(told: Any) -> None:
    made = dashboard(told)
    known = {variable["name"] for variable in made["templating"]["list"]} | BUILT_IN
    asked = set(VARIABLE.findall(json.dumps(made["panels"])))
    assert asked
    assert asked <= known


def test_a_point_opens_its_trace_in_jaeger() -> None:
    (source,) = [s for s in provisioned("datasources")["datasources"] if s["type"] == "prometheus"]
    (opens,) = source["jsonData"]["exemplarTraceIdDestinations"]
    assert opens["name"] == "trace_id"
    assert opens["url"].endswith("/trace/$${__value.raw}")
    assert [p.id for p in PANELS if any(t["exemplar"] for t in p.values[0]["targets"])] == [
        "load: From due to answered"
    ]


def test_links_search_jaeger_within_the_time_that_is_shown() -> None:
    urls = [link["url"] for param in PANELS for link in param.values[0]["links"]]
    assert len(urls) >= 6
    assert all(url.startswith("${jaeger}/search?service=") and "&start=${__from}000" in url for url in urls)
