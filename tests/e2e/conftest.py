"""What holds for the tests that start processes."""

from pathlib import Path

import pytest

from tests.e2e.command import Here


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that may take longest first: begun last, one of them would run on alone."""
    items.sort(key=longest_s, reverse=True)


def longest_s(item: pytest.Item) -> float:
    """Return the time limit that a test's file states for its tests, 0 for the usual one."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The `agentrig` command within this process and the test's folder."""
    return Here(tmp_path, monkeypatch, capsys)
