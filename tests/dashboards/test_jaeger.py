import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "dashboards" / "jaeger" / "config.yaml").read_text())


def test_the_version_that_the_tests_ask_is_the_one_that_compose_starts() -> None:
    image = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["jaeger"]["image"]
    built = set(re.findall(r"\d+\.\d+\.\d+", (ROOT / ".ci" / "jaeger" / "build").read_text()))
    assert built == {image.rpartition(":")[2]}


def test_it_listens_on_loopback_unless_it_is_told_otherwise() -> None:
    endpoints = re.findall(r'endpoint: "(\S+)"', (ROOT / "dashboards" / "jaeger" / "config.yaml").read_text())
    ours = [endpoint for endpoint in endpoints if "PROMETHEUS_URL" not in endpoint]
    assert len(ours) == 6
    assert all(endpoint.startswith("${env:JAEGER_HOST:-127.0.0.1}:") for endpoint in ours)


def test_every_trace_is_stored_and_counted() -> None:
    traces = CONFIG["service"]["pipelines"]["traces"]
    assert set(traces["exporters"]) == {"jaeger_storage_exporter", "spanmetrics"}
    assert (
        CONFIG["extensions"]["jaeger_query"]["storage"]["metrics"]
        in (CONFIG["extensions"]["jaeger_storage"]["metric_backends"])
    )
