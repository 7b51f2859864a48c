"""`python .ci/release.py VERSION`: version, changelog and tag of a release, in one commit; nothing is pushed.

Refused: a folder with changes that are in no commit, a version that is not newer than the last one, and a
changelog that says nothing of it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import subprocess
import sys
from pathlib import Path

from packaging.version import InvalidVersion, Version

VERSION_LINES = {
    "pyproject.toml": r'(?m)^version = "([^"]+)"$',
    "harness/__init__.py": r'(?m)^__version__ = "([^"]+)"$',
}
"""Where the version stands, by file: the group is what is replaced."""
SECTION = re.compile(r"(?ms)^## (?P<title>[^\n]*)\n(?P<body>.*?)(?=^## |\Z)")
UNRELEASED = "(unreleased)"


class RefusedError(Exception):
    """A release that is none; the message says why, and what to do."""


def release(root: Path, text: str, today: dt.date) -> str:
    """Make a release; return the name of its tag.

    Args:
        root: of the checkout.
        text: its version.
        today: stands in the changelog.

    Raises:
        RefusedError: it can't be made; nothing has been changed.
    """
    version = _version(text)
    if changed := _git(root, "status", "--porcelain"):
        raise RefusedError(f"there are changes in no commit: commit them, or put them aside.\n{changed}")
    _require_newer(root, version)
    files = {
        root / name: _replaced(root / name, pattern, str(version)) for name, pattern in VERSION_LINES.items()
    }
    changelog = root / "CHANGELOG.md"
    files[changelog], notes = _dated(changelog.read_text("utf-8"), version, today)
    for file, content in files.items():
        file.write_text(content, "utf-8")
    tag = f"v{version}"
    _git(root, "add", *(str(file) for file in files))
    _git(root, "commit", "--quiet", "--allow-empty", "--message", f"Release {version}")
    _git(root, "tag", "--annotate", "--cleanup=verbatim", tag, "--message", f"agentrig {version}\n\n{notes}")
    return tag


def notes_of(root: Path, text: str) -> str:
    """Return what the changelog says of a version.

    Raises:
        RefusedError: it says nothing.
    """
    for section in SECTION.finditer((root / "CHANGELOG.md").read_text("utf-8")):
        if section["title"].split(" ")[0] == str(_version(text)) and section["body"].strip():
            return section["body"].strip()
    raise RefusedError(f"CHANGELOG.md says nothing of {text}.")


def _version(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion as error:
        raise RefusedError(f"{text!r} is no version: give one such as 1.4.0.") from error


def _require_newer(root: Path, version: Version) -> None:
    """Compare with what was released, or with what the files say where nothing was.

    Raises:
        RefusedError: it is not newer.
    """
    released = [_version(tag.removeprefix("v")) for tag in _git(root, "tag", "--list", "v[0-9]*").split()]
    if released and version <= max(released):
        raise RefusedError(
            f"{version} is not newer than {max(released)}, which was released: give a higher one."
        )
    found = re.search(VERSION_LINES["pyproject.toml"], (root / "pyproject.toml").read_text("utf-8"))
    written = _version(found[1] if found else "0")
    if version < written:
        raise RefusedError(
            f"{version} is older than {written}, which pyproject.toml says: give that or a higher one."
        )


def _replaced(file: Path, pattern: str, version: str) -> str:
    text = file.read_text("utf-8")
    found = re.search(pattern, text)
    if found is None:
        raise RefusedError(f"{file}: says no version where one is looked for ({pattern}).")
    return text[: found.start(1)] + version + text[found.end(1) :]


def _dated(text: str, version: Version, today: dt.date) -> tuple[str, str]:
    """Return the changelog with the version and the date over its newest section, and what that says.

    Raises:
        RefusedError: there is no section of what is unreleased, or it is empty.
    """
    newest = SECTION.search(text)
    if newest is None or not newest["title"].endswith(UNRELEASED):
        raise RefusedError(f"CHANGELOG.md does not begin with a section `## ... {UNRELEASED}`: add one.")
    if not re.search(r"(?m)^- \S", newest["body"]):
        raise RefusedError("CHANGELOG.md says nothing of what is new: its newest section is empty.")
    dated = f"## {version} ({today.isoformat()})"
    return text[: newest.start()] + dated + text[newest.start() + len(f"## {newest['title']}") :], newest[
        "body"
    ].strip()


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(("git", *words), cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(f"git {' '.join(words[:2])}: {done.stderr.strip()}")
    return done.stdout.rstrip()


def main() -> int:
    """Make a release, or print its notes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version")
    parser.add_argument(
        "--notes", action="store_true", help="print what the changelog says of it, and do nothing"
    )
    args = parser.parse_args()
    root = Path(__file__).parents[1]
    try:
        if args.notes:
            sys.stdout.write(f"{notes_of(root, args.version)}\n")
            return 0
        tag = release(root, args.version, dt.datetime.now(dt.UTC).date())
    except RefusedError as error:
        sys.stderr.write(f"release: {error}\n")
        return 3
    sys.stdout.write(f"{tag} is there, and nothing was pushed. Look at it with `git show {tag}`, then:\n")
    sys.stdout.write("git push origin main --follow-tags\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
