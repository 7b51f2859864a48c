from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from harness.clock import FakeClock
from harness.commands import up
from harness.commands.up import UpPlan, addresses, hold_up, read, table
from harness.errors import StartError
from harness.records.setup import Container
from harness.records.spec import Policy
from harness.records.up_state import UpState

AGENT = Container(name="agent-1", address="127.0.0.1:8001")
METRICS = """
# TYPE agentrig_inflight gauge
agentrig_inflight 3.0
agentrig_inflight_limit 4.0
agentrig_busy 0.0
# TYPE agentrig_rejections_total counter
agentrig_rejections_total 7.0
# TYPE agentrig_client_attempts_total counter
agentrig_client_attempts_total{outcome="retried"} 5.0
agentrig_client_attempts_total{outcome="success"} 90.0
# TYPE http_server_request_duration_seconds histogram
http_server_request_duration_seconds_count{http_route="/invocations",http_response_status_code="200"} 88.0
http_server_request_duration_seconds_count{http_route="/invocations",http_response_status_code="502"} 2.0
"""


def test_a_containers_figures_are_read_from_its_metrics() -> None:
    asked: list[str] = []

    def fetch(url: str) -> str:
        asked.append(url)
        return METRICS

    figures = read(AGENT, fetch)
    assert asked == ["http://127.0.0.1:8001/metrics"]
    assert figures == {"in flight": 3, "limit": 4, "busy": 0, "served": 90, "rejected": 7, "retries": 5}


def test_a_container_that_does_not_answer_is_shown_with_question_marks() -> None:
    def fetch(_: str) -> str:
        raise httpx.ConnectError("refused")

    assert read(AGENT, fetch) is None
    console = Console(record=True, width=100)
    console.print(table({AGENT: None}))
    assert console.export_text().count("?") == 6


def test_the_second_terminals_command_is_told_with_the_addresses() -> None:
    state = UpState(pid=1, url="http://127.0.0.1:8000", simulator_url="http://127.0.0.1:8002")
    said = addresses(state, Path("runs/up/logs"))
    assert "http://127.0.0.1:8000" in said
    assert "http://127.0.0.1:8002/sim/docs" in said
    assert "locust -f locustfiles" in said


def test_what_begins_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A context of a kubeconfig may have any name."""

    def opened(*_: object, on_phase: Callable[[str], None], **__: object) -> None:
        on_phase("the cluster a[/b] makes a namespace")
        raise StartError("enough")

    monkeypatch.setattr(up, "opened", opened)
    console = Console(record=True, width=100)
    asked = UpPlan(
        agents=1,
        concurrency_limit=1,
        policy=Policy.BLIND,
        log_dir=tmp_path,
        jaeger_url=None,
        forward_url=None,
        state_file=tmp_path / "up.json",
    )
    with pytest.raises(StartError, match="enough"):
        hold_up(asked, console, FakeClock())
    assert "the cluster a[/b] makes" in console.export_text()
