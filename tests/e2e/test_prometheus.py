"""Every expression of every dashboard, rule and alert, on a real Prometheus that watched a real run."""

import json
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.capture.decode import otlp_json_lines, spans
from tests.e2e.observed_run import LOAD_BEGUN, Seen, filled_in, promtool, seen_run, variables
from tests.e2e.prometheus_server import CONFIG, Prometheus, require_prometheus
from tests.e2e.telemetry_compared import never_sent, not_on_the_page, of_run
from tests.telemetry_seen import instruments, loads_metrics, observes_metrics, simulators_metrics

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

DASHBOARDS = CONFIG.parent / "grafana" / "json"
MAY_REST = {"load: Late and dropped: late"}
"""Zero when all goes well, which no experiment can rule out; it has to be there all the same."""
LOOKS = 20
NAME = re.compile(r"\b(?:agentrig|envoy|http|gen_ai|process)_\w+|\b(?:fleet|instance):\w+(?::\w+)?")
PART = re.compile(r"_(?:bucket|count|sum|created)$")
LABELS = re.compile(r"\{[^}]*\}|\b(?:by|on) \([^)]*\)")


def rules(file: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((CONFIG / file).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> dict[str, str]:
    """Every expression that should draw something, by where it stands."""
    found = {f"rule: {rule['record']}": rule["expr"] for rule in rules("rules.yml")}
    for file in sorted(DASHBOARDS.glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                found[f"{file.stem}: {panel['title']}: {target['legendFormat']}"] = target["expr"]
    return found


ALERTS = {alert["alert"]: alert["expr"] for alert in rules("alerts.yml")}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    require_prometheus()
    with seen_run(tmp_path_factory.mktemp("observed"), all_is_drawn) as run:
        yield run


def all_is_drawn(run: Prometheus) -> bool:
    """Whether every expression draws what it has to, and every alert's names are there."""
    if not run.lines(LOAD_BEGUN):
        return False  # the alert fired of what is sent beside the balancer; the load is still loading
    chosen = variables(run)
    drawn = ((where, values(run, filled_in(expr, chosen))) for where, expr in expressions().items())
    return all(line and (any(line) or where in MAY_REST) for where, line in drawn) and all(
        map(run.lines, {name for expr in ALERTS.values() for name in named_in(expr)})
    )


def named_in(alert: str) -> set[str]:
    """Return the metrics that an alert asks for."""
    return set(NAME.findall(LABELS.sub("", alert)))


def values(run: Prometheus, expr: str) -> list[float]:
    found = [float(value) for line in run.lines(expr) for _, value in line["values"]]
    return [value for value in found if math.isfinite(value)]


@pytest.mark.parametrize("where", expressions())
def test_every_expression_draws_what_the_run_moved(where: str, watched: Prometheus) -> None:
    drawn = values(watched, filled_in(expressions()[where], variables(watched)))
    assert drawn, "nothing to draw"
    assert any(drawn) or where in MAY_REST, "all zero"


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_asks_for_what_is_there(name: str, watched: Prometheus) -> None:
    watched.lines(ALERTS[name])
    asked = named_in(ALERTS[name])
    assert asked
    assert not {metric for metric in asked if not watched.lines(metric)}


def test_a_throttling_storm_fires_its_alert(watched: Seen) -> None:
    firing = {a["labels"]["alertname"] for a in watched.alerts if a["state"] == "firing"}
    assert "RetryAmplification" in firing
    assert not firing & {"ClientsBuiltAgain", "BusyWithoutTraffic"}


def test_all_that_is_scraped_is_up(watched: Seen) -> None:
    """Within the last looks: at a single one a slow machine may miss a scrape's second."""
    assert {t["labels"]["job"] for t in watched.targets} == {"agent", "simulator", "envoy", "load", "observe"}
    assert len(watched.ups) >= len(watched.targets)
    assert [
        up["metric"] for up in watched.ups if "1" not in {value for _, value in up["values"][-LOOKS:]}
    ] == []


def test_the_rules_are_evaluated_without_an_error(watched: Prometheus) -> None:
    groups = watched.get("rules")["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    assert len(found) == len(rules("rules.yml")) + len(ALERTS)
    assert [rule["lastError"] for rule in found if rule["health"] != "ok"] == []


def test_a_slow_request_leads_to_its_trace(watched: Prometheus) -> None:
    expr = filled_in(expressions()["load: From due to answered: p99"], variables(watched))
    found = watched.get("query_exemplars", query=expr, start=watched.start_s, end=time.time())
    ids = [point["labels"]["trace_id"] for series in found for point in series["exemplars"]]
    access_log = (watched.folder / "logs" / "envoy-access.jsonl").read_text().splitlines()
    assert ids
    assert set(ids) <= {json.loads(line)["trace_id"] for line in access_log}


def test_the_page_of_telemetry_has_every_name_that_was_sent_and_no_other(watched: Seen) -> None:
    seen = of_run(spans(otlp_json_lines(watched.spans)))
    assert not not_on_the_page(seen)
    assert not never_sent(seen, {"agent", "envoy", "model-api", "mcp-server"})


def test_the_page_of_telemetry_has_every_series_that_was_scraped_and_no_other(watched: Prometheus) -> None:
    scraped = set(watched.get("label/__name__/values"))
    ours = {PART.sub("", name) for name in scraped if name.startswith(("agentrig_", "gen_ai_"))}
    assert ours == {
        metric.series
        for metric in (
            *(*instruments(), *simulators_metrics(), *loads_metrics()),
            *observes_metrics(),
        )
    }


def test_each_alert_fires_on_its_history_and_on_no_healthy_one() -> None:
    require_prometheus()
    ran = promtool("test", "rules", CONFIG / "alerts_test.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    cases = yaml.safe_load((CONFIG / "alerts_test.yml").read_text())["tests"]
    firing = [
        a["alertname"] for case in cases for a in case.get("alert_rule_test", ()) if a.get("exp_alerts")
    ]
    assert set(firing) == set(ALERTS)


def test_an_alert_that_is_wrong_is_found(tmp_path: Path) -> None:
    require_prometheus()
    for file in CONFIG.glob("*.yml"):
        (tmp_path / file.name).write_text(file.read_text().replace("ratio1m > 1.2", "ratio1m > 2.5"))
    assert promtool("test", "rules", tmp_path / "alerts_test.yml").returncode == 1


def test_prometheus_takes_its_configuration() -> None:
    require_prometheus()
    ran = promtool("check", "config", CONFIG / "prometheus.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
