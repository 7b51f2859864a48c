"""On a machine without what is Linux's alone, all is imported, and `doctor` says what works."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_every_module_is_imported_where_nothing_of_linux_is_there() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "tests.bare"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    first, second = made.stdout.split(" modules\n")[:2]
    assert first == second
