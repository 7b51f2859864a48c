"""`agentrig run --jaeger` on a real Jaeger: what its page is asked, and what its links lead to."""

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from dashboards.grafana.__main__ import ALL
from dashboards.grafana.render import dashboard
from tests.e2e.command import finish, start
from tests.e2e.jaeger_server import Jaeger, jaeger, own_host, require_jaeger
from tests.e2e.locusting import headless
from tests.e2e.prometheus_server import prometheus, require_prometheus
from tests.e2e.serving import contract_server
from tests.e2e.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

EXPERIMENT = Path(__file__).parent / "fixtures" / "traced.toml"
SERVICES = {"locust", "envoy", "agent", "model-api", "mcp-server"}
HREF = re.compile(r'href="(http[^"]+)"')
GRAFANA = sorted(
    {link["url"] for told in ALL for panel in dashboard(told)["panels"] for link in panel["links"]}
)
AGO_MS = 1_800_000
"""As far back is looked for the run: on a slow machine, the tests before take minutes."""
LOOK_S = 0.5
"""What is looked for, Jaeger searches all traces for."""
ADDED = {"error", "otel.scope.version", "otel.status_code"}
"""Tags that Jaeger writes twice, or that our spans do not keep."""


@dataclass(frozen=True)
class Traced:
    """A run whose spans went on to Jaeger."""

    jaeger: Jaeger
    folder: Path
    said: str

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "requests.jsonl").read_text().splitlines()]

    def links(self) -> set[str]:
        page = (self.folder / "report.html").read_text().replace("&amp;", "&")
        return {link for link in HREF.findall(page) if link.startswith(self.jaeger.page)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    require_jaeger()
    require_prometheus()
    folder, host = tmp_path_factory.mktemp("jaeger"), own_host()
    with (
        prometheus(folder, {"jaeger": [f"{host}:8889"]}) as watching,
        jaeger(folder, watching.url, host) as server,
    ):
        out = folder / "out"
        # At a share of its rates that a slow machine carries: to measure which would take a fleet more.
        process = start(
            *("run", EXPERIMENT, "--out", out, "--jaeger", server.page, "--rate-scale", "0.4"), cwd=folder
        )
        code, said, err = finish(process)
        assert code == 1, f"{said}\n{err}"  # the experiment wants no error, which the storm makes
        yield Traced(server, out, said)


# --- what its search finds -------------------------------------------------------------
def test_every_part_is_a_service(run: Traced) -> None:
    assert set(run.jaeger.get("services")["data"]) == SERVICES


def test_the_trace_of_every_request_is_there_whole(run: Traced) -> None:
    found = {trace["traceID"]: trace for trace in run.jaeger.search("locust")}
    rows = run.rows()
    assert len(rows) >= 35
    assert {row["trace_id"] for row in rows} <= set(found)
    for row in rows:
        spans = {span["spanID"]: span for span in found[row["trace_id"]]["spans"]}
        roots = [s for s in spans.values() if not s["references"]]
        assert [s["spanID"] for s in roots] == [row["span_id"]]
        assert all(s["references"][0]["spanID"] in spans for s in spans.values() if s["references"])


@pytest.mark.parametrize(
    ("service", "tags"),
    [
        ("agent", {"agentrig.client.state": "cold"}),
        ("agent", {"agentrig.retry.attempts": "3"}),
        ("agent", {"agentrig.retry.outcome": "permanent"}),
        ("agent", {"http.response.status_code": "503"}),
        ("agent", {"agentrig.retry.attempts": "3", "agentrig.experiment": "traced", "agentrig.arm": "storm"}),
        ("agent", {"agentrig.busy": "true"}),
        ("locust", {"agentrig.request.ok": "false"}),
        ("model-api", {"agentrig.simulator.decision": "rate_limit_requests"}),
    ],
    ids=str,
)
def test_a_search_by_tags_finds_the_spans_that_have_them(
    run: Traced, service: str, tags: dict[str, str]
) -> None:
    found = run.jaeger.search(service, tags=json.dumps(tags))
    assert 0 < len(found) < len(run.rows())
    for trace in found:
        of_service = [span for span in trace["spans"] if service_of(trace, span) == service]
        assert any(tags.items() <= said(trace, span).items() for span in of_service)


# --- what a trace is made of -----------------------------------------------------------
WHOLE = [
    ("locust traced / {arm}", "envoy ingress"),
    ("envoy ingress", "envoy router agents egress"),
    ("envoy router agents egress", "agent POST /invocations"),
    ("agent POST /invocations", "agent session.load"),
    ("agent POST /invocations", "agent invoke_agent agentrig"),
    ("agent POST /invocations", "agent session.save"),
    ("agent invoke_agent agentrig", "agent chat simulated-model"),
    ("agent chat simulated-model", "agent POST /v1/chat/completions"),
    ("agent POST /v1/chat/completions", "model-api chat simulated-model"),
    ("agent invoke_agent agentrig", "agent execute_tool search"),
    ("agent execute_tool search", "agent MCP send tools/call search"),
    ("agent MCP send tools/call search", "mcp-server tools/call search"),
]


def test_a_request_is_one_trace_from_the_caller_to_model_and_tool(run: Traced) -> None:
    served = [row for row in run.rows() if row["status"] == 200]
    assert served
    for row in served:
        (trace,) = run.jaeger.get(f"traces/{row['trace_id']}")["data"]
        edges = {(named(trace, parent), named(trace, span)) for parent, span in below(trace)}
        whole = {(parent.replace("{arm}", row["arm"]), child) for parent, child in WHOLE}
        assert not whole - edges


def test_no_span_is_taken_for_one_of_a_skewed_clock(run: Traced) -> None:
    told = [
        warning
        for trace in run.jaeger.search("locust")
        for span in trace["spans"]
        for warning in span.get("warnings") or ()
    ]
    assert told == []


def test_a_cold_request_shows_the_client_being_built(run: Traced) -> None:
    cold = run.jaeger.search("agent", tags=json.dumps({"agentrig.client.state": "cold"}))
    built = {named(trace, span) for trace in cold for span in trace["spans"]}
    assert {"agent client.init llm", "agent client.init mcp"} <= built
    edges = {(named(trace, parent), named(trace, span)) for trace in cold for parent, span in below(trace)}
    assert ("agent client.init mcp", "agent MCP send tools/list") in edges


def test_a_retried_call_has_a_span_for_each_attempt_and_an_event_for_each_wait(run: Traced) -> None:
    found = run.jaeger.search("agent", tags=json.dumps({"agentrig.retry.attempts": "3"}))
    calls = [
        (trace, span)
        for trace in found
        for span in trace["spans"]
        if said(trace, span).get("agentrig.retry.attempts") == "3"
    ]
    for trace, call in calls:
        attempts = [span for parent, span in below(trace) if parent["spanID"] == call["spanID"]]
        attempts.sort(key=lambda span: span["startTime"])
        assert [said(trace, each).get("http.request.resend_count") for each in attempts] == [None, "1", "2"]
        names = [each["operationName"] for each in attempts]
        assert [name.partition(" (")[2] for name in names] == ["", "attempt 2)", "attempt 3)"]
        assert len([log for log in call["logs"] if "agentrig.retry" in str(log["fields"])]) == 2


def test_locust_by_hand_sends_a_root_for_each_of_its_calls(run: Traced, tmp_path: Path) -> None:
    otlp = ("--otlp-url", f"http://{run.jaeger.host}:4318", "--results-dir", tmp_path)
    with contract_server() as host:
        ran = headless("Steady", "-t", "2s", "-H", host, *otlp)
    assert ran.returncode == 0, ran.stderr
    rows = [json.loads(line) for line in (tmp_path / "requests-0.jsonl").read_text().splitlines()]
    assert rows

    def roots() -> set[str]:
        found = run.jaeger.search("locust", tags=json.dumps({"agentrig.experiment": "Steady"}))
        return {trace["spans"][0]["spanID"] for trace in found}

    until("every root", lambda: roots() == {row["span_id"] for row in rows}, poll_s=LOOK_S)


# --- what leads there ------------------------------------------------------------------
def test_every_link_of_the_report_leads_to_traces(run: Traced) -> None:
    links = run.links()
    kinds = defaultdict(set)
    for link in links:
        path = urlsplit(link).path
        if path == "/search":
            kinds["search"].add(link)
            assert run.jaeger.get("traces", **dict(parse_qsl(urlsplit(link).query)))["data"], link
            continue
        ids = path.removeprefix("/trace/").split("...")
        kinds["comparison" if len(ids) > 1 else "trace"].add(link)
        assert [run.jaeger.get(f"traces/{each}")["data"][0]["traceID"] for each in ids] == ids
    assert set(kinds) == {"search", "trace", "comparison"}


def test_the_terminal_links_evidence_its_like_and_a_comparison(run: Traced) -> None:
    told = re.findall(rf"({re.escape(run.jaeger.page)}/\S+)", run.said)
    assert {urlsplit(link).path.split("/")[1] for link in told} == {"trace", "search"}
    assert any("..." in link for link in told)
    assert set(told) <= run.links()


@pytest.mark.parametrize("url", GRAFANA, ids=lambda url: url.partition("limit=20&")[2])
def test_every_link_of_a_dashboard_finds_traces(run: Traced, url: str) -> None:
    now_ms = round(time.time() * 1000)
    chosen = {
        "${service}": "agent",
        "${__from}": str(now_ms - AGO_MS),
        "${__to}": str(now_ms),
        "minDuration=1s": "minDuration=20ms",
    }
    for variable, value in chosen.items():
        url = url.replace(variable, value)
    assert run.jaeger.get("traces", **dict(parse_qsl(urlsplit(url).query)))["data"]


def test_the_service_performance_tab_has_its_figures(run: Traced) -> None:
    def drawn(figure: str, **asked: Any) -> list[float]:
        asked = {"service": "agent", "ratePer": 60_000, "step": 1_000, "lookback": AGO_MS, **asked}
        metrics = run.jaeger.get(f"metrics/{figure}", spanKind="server", **asked)["metrics"]
        points = [p["gaugeValue"]["doubleValue"] for m in metrics for p in m["metricPoints"]]
        return [float(point) for point in points if float(point) > 0]

    for figure, more in (("calls", {}), ("errors", {}), ("latencies", {"quantile": 0.95})):
        until(figure, lambda f=figure, m=more: bool(drawn(f, **m)), poll_s=LOOK_S)


# --- without it ------------------------------------------------------------------------
def test_the_file_to_upload_says_what_jaeger_itself_says_of_these_traces(run: Traced) -> None:
    saved = json.loads((run.folder / "traces.json").read_text())["data"]
    assert saved
    for trace in saved:
        (theirs,) = run.jaeger.get(f"traces/{trace['traceID']}")["data"]
        assert set(trace) <= set(theirs)
        assert drawn_of(trace) == drawn_of(theirs)


def drawn_of(trace: dict[str, Any]) -> dict[str, Any]:
    """Return what a page draws: times, names, parents, tags and events of each span."""
    return {
        span["spanID"]: (
            span["operationName"],
            span["startTime"],
            span["duration"],
            [(r["refType"], r["traceID"], r["spanID"]) for r in span["references"]],
            service_of(trace, span),
            sorted(tag(t) for t in span["tags"] if t["key"] not in ADDED),
            [log["timestamp"] for log in span["logs"]],
        )
        for span in trace["spans"]
    }


def tag(told: dict[str, Any]) -> tuple[str, str, str]:
    value = float(told["value"]) if told["type"] == "float64" else told["value"]
    return told["key"], told["type"], str(value)


def below(trace: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each span with its parent in front."""
    spans = {span["spanID"]: span for span in trace["spans"]}
    return [(spans[s["references"][0]["spanID"]], s) for s in trace["spans"] if s["references"]]


def service_of(trace: dict[str, Any], span: dict[str, Any]) -> str:
    return str(trace["processes"][span["processID"]]["serviceName"])


def named(trace: dict[str, Any], span: dict[str, Any]) -> str:
    return f"{service_of(trace, span)} {span['operationName']}"


def said(trace: dict[str, Any], span: dict[str, Any]) -> dict[str, str]:
    """Return the attributes of a span and of its service, as texts."""
    tags = [*trace["processes"][span["processID"]]["tags"], *span["tags"]]
    return {t["key"]: str(t["value"]).lower() if t["type"] == "bool" else str(t["value"]) for t in tags}
