"""`make audit` tells a weakness from a list of weaknesses that could not be asked."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
SAFE = {"name": "safe", "version": "1.0", "vulns": []}
WEAK = {"name": "weak", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
LOST = {"name": "lost", "skip_reason": "it could not be asked for"}
NOBODY = "Traceback (most recent call last):\n  ...\nConnectionError: nobody is there"
BOUND = "license GPL not in allow-only licenses was found for package binding:1.0"


def found(*dependencies: dict[str, Any]) -> str:
    """What pip-audit writes; it ends with 1 where it found something."""
    ends = "exit 1" if WEAK in dependencies else "exit 0"
    return f"echo {shlex.quote(json.dumps({'dependencies': dependencies, 'fixes': []}))}; {ends}"


def fails(text: str) -> str:
    return f"echo {shlex.quote(text)} >&2; exit 1"


@pytest.mark.parametrize(
    ("audit", "licences", "code", "said"),
    [
        (found(SAFE), "exit 0", 0, ["no weakness is known of 1 packages", "every licence is on the list"]),
        (found(SAFE, WEAK), "exit 0", 1, ["weak: weak 2.0: PYSEC-1, mended in 2.1", "every licence"]),
        (
            fails(NOBODY),
            "exit 0",
            2,
            ["unknown whether what is pinned has weaknesses: ConnectionError: nobody"],
        ),
        (
            found(SAFE, LOST),
            "exit 0",
            2,
            ["unknown whether 1 of 2 packages have weaknesses, the first is lost: it could not"],
        ),
        (found(), "exit 0", 2, ["nothing was looked at"]),
        (found(LOST, WEAK), "exit 0", 1, ["weak: weak 2.0", "the first is lost"]),
        (found(SAFE), fails(BOUND), 1, [f"licence: {BOUND}"]),
        (fails(NOBODY), fails(BOUND), 1, ["unknown whether what is pinned", f"licence: {BOUND}"]),
        (found(SAFE), fails("ImportError: x"), 2, ["unknown which licences there are: ImportError: x"]),
    ],
)
def test_what_was_found_is_red_and_what_could_not_be_asked_is_unknown(
    tmp_path: Path, audit: str, licences: str, code: int, said: list[str]
) -> None:
    for name, does in (("pip-audit", audit), ("pip-licenses", licences)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    script = [sys.executable, ROOT / ".ci" / "audit.py", "constraints.txt", "MIT", "--programs", tmp_path]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    assert all(sentence in done.stdout for sentence in said), done.stdout
    assert "Traceback" not in done.stdout
