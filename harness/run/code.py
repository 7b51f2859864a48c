"""Which code made a run: two figures of one table shall be of the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from harness import __version__

PACKAGES = ("harness", "reference_agent")
SOURCES = {".py", ".toml", ".j2"}


@cache
def running() -> str:
    """Return the version that runs and a digest of its sources: a checkout changes under one version."""
    specs = (find_spec(package) for package in PACKAGES)
    roots = [Path(place) for spec in specs if spec for place in spec.submodule_search_locations or ()]
    return f"{__version__}+{digest(roots)}"


def digest(roots: Iterable[Path]) -> str:
    """Return a digest of the sources below some folders: their names and what is in them."""
    found = hashlib.sha256()
    for root in roots:
        for file in sorted(root.rglob("*")):
            if file.suffix in SOURCES and file.is_file():
                content = file.read_bytes()
                found.update(f"{root.name}/{file.relative_to(root)} {len(content)}\n".encode())
                found.update(content)
    return found.hexdigest()[:12]
