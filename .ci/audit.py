"""`python .ci/audit.py PINS LICENCES`: known weaknesses of what is pinned, and licences of what is installed.

A list of weaknesses that can't be asked has said nothing: that is unknown, and never taken for green, nor for
a weakness. Exit codes: 0 nothing was found, 1 something was, 2 unknown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

NOTHING, FOUND, UNKNOWN = range(3)
BIN = Path(sys.executable).parent
MOST_CHARS = 300


def weaknesses(done: subprocess.CompletedProcess[str]) -> tuple[int, list[str]]:
    """Return what pip-audit found, a sentence each: it ends with 1 as well where it could ask nobody.

    Args:
        done: pip-audit, that was to write JSON.
    """
    try:
        told: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
        looked_at = [each for each in told if "skip_reason" not in each]
        known = [
            f"{each['name']} {each['version']}: {weak['id']}, mended in {_versions(weak)}"
            for each in looked_at
            for weak in each["vulns"]
        ]
        passed_over = [f"{each['name']}: {each['skip_reason']}" for each in told if "skip_reason" in each]
    except (ValueError, KeyError, TypeError):
        return UNKNOWN, [f"unknown whether what is pinned has weaknesses: {_end(done.stderr)}"]
    unknown = []
    if passed_over:
        of_all = f"{len(passed_over)} of {len(told)} packages have weaknesses"
        unknown.append(f"unknown whether {of_all}, the first is {passed_over[0]}")
    if not told:
        unknown.append("unknown whether what is pinned has weaknesses: nothing was looked at")
    if known:
        return FOUND, [*(f"weak: {each}" for each in known), *unknown]
    return (UNKNOWN, unknown) if unknown else (NOTHING, [f"no weakness is known of {len(told)} packages"])


def _versions(weak: dict[str, Any]) -> str:
    return ", ".join(weak["fix_versions"]) or "no version yet"


def licences(done: subprocess.CompletedProcess[str]) -> tuple[int, list[str]]:
    """Return which licence is not on the list, if one is.

    Args:
        done: pip-licenses, that was told the list.
    """
    if not done.returncode:
        return NOTHING, ["every licence is on the list"]
    said = _end(done.stderr)
    if "license" in said and "allow" in said:
        return FOUND, [f"licence: {said}"]
    return UNKNOWN, [f"unknown which licences there are: {said}"]


def _end(text: str) -> str:
    """Return the last line of what a program said: why it ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:MOST_CHARS] if lines else "it said nothing"


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False)


def main() -> int:
    """Ask both, tell what they said, and return the gravest: what was found, else what is unknown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pins", help="a file of them")
    parser.add_argument("licences", help="parts of their names, parted by ;")
    parser.add_argument("--programs", type=Path, default=BIN, help="the folder of pip-audit and pip-licenses")
    args = parser.parse_args()
    audit = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")
    allowed = ("--from", "mixed", "--partial-match", "--format", "plain", "--allow-only", args.licences)
    found = [
        weaknesses(_run(str(args.programs / "pip-audit"), "--requirement", args.pins, *audit)),
        licences(_run(str(args.programs / "pip-licenses"), *allowed)),
    ]
    for _, sentences in found:
        sys.stdout.writelines(f"audit: {sentence}\n" for sentence in sentences)
    codes = {code for code, _ in found}
    return FOUND if FOUND in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main())
