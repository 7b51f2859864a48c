"""What holds for the tests that start processes."""

from pathlib import Path

import pytest

from tests.e2e.command import Here

HERE = Path(__file__)
LONGEST = (
    "test_on_docker",
    "test_locust_ways",
    "test_run",
    "test_fleet",
    "test_locustfiles",
    "test_hardening",
    "test_prometheus",
    "test_own_agent",
    "test_pages_by_hand",
    "test_gate",
    "test_jaeger",
    "test_again",
    "test_agent_lifecycle",
    "test_pytest_plugin",
    "test_bounds",
    "test_mcp_server",
    "test_sessions_survive",
    "test_bare",
    "test_examples",
)
"""The files that take longest, as they were measured: from 230 s down to 45, each by one worker."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first: begun last, one of them would run on alone."""
    assert all(HERE.with_name(f"{name}.py").exists() for name in LONGEST), "a file has another name now"
    ours = [item for item in items if item.path.parent == HERE.parent]
    unmarked = [item.nodeid for item in ours if not {"e2e", "proof"} & {m.name for m in item.iter_markers()}]
    assert not unmarked, "no target of the Makefile runs these"
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The `agentrig` command within this process and the test's folder."""
    return Here(tmp_path, monkeypatch, capsys)
