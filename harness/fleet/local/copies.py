"""A folder for each container of a user's agent: what one writes beside its code, no other finds there.

A container has the files of its image, and what it writes ends with it. So each process is started in a copy
of the project. What only takes room is linked: environments, packages, caches of tools and large files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness.errors import StartError

LINKED: Final = frozenset(
    {
        *("node_modules", "site-packages", ".venv", ".tox", ".nox", ".git", ".hg", ".svn", ".yarn"),
        *(".pnpm-store", ".gradle", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"),
    }
)
"""Folders that no agent keeps anything in; other hidden ones may hold what it remembers."""
ENVIRONMENT: Final = "pyvenv.cfg"
"""What the root of a Python environment has."""
LEFT_OUT: Final = frozenset({"__pycache__"})
RUNS: Final = ("plan.json", "gate.json")
"""What the folder of a run has: no part of a project."""
LARGE_BYTES: Final = 16 * 2**20
MOST_FILES: Final = 20_000


def copy_project(project: Path, target: Path) -> None:
    """Copy a project for one container.

    Args:
        project: the folder that its command is started in.
        target: does not exist yet; may be within `project`.

    Raises:
        StartError: it can't be copied, or has too many files for that.
    """
    project, target = project.resolve(), target.resolve()
    copied = 0
    try:
        target.mkdir(parents=True)
        for source in _within(project, target):
            _put(source, target / source.relative_to(project), project)
            copied += 1
            if copied > MOST_FILES:
                raise StartError(
                    f"{project}: has more than {MOST_FILES} files, too many for a copy for each container. "
                    "Say `workdir` more narrowly, or `own_folder = false` in [agent]: all share it then."
                )
    except OSError as error:
        raise StartError(
            f"{project}: cannot be copied for a container: {error.filename}: {error.strerror}. With "
            "`own_folder = false` in [agent] all containers share that folder."
        ) from error


def _within(folder: Path, target: Path) -> Iterator[Path]:
    """Yield what is to be copied or linked, folders before what is in them."""
    for source in sorted(folder.iterdir()):
        if source.name in LEFT_OUT or target.is_relative_to(source) or _is_run(source):
            continue
        yield source
        if source.is_dir() and not source.is_symlink() and not _is_linked(source):
            yield from _within(source, target)


def _put(source: Path, copy: Path, project: Path) -> None:
    if source.is_symlink():
        aim = source.readlink()
        inside = not aim.is_absolute() and (source.parent / aim).resolve().is_relative_to(project)
        copy.symlink_to(aim if inside else source.resolve())
    elif _is_linked(source):
        copy.symlink_to(source)
    elif source.is_dir():
        copy.mkdir()
    elif source.is_file():
        shutil.copy2(source, copy)


def _is_linked(source: Path) -> bool:
    if source.is_dir():
        return source.name in LINKED or (source / ENVIRONMENT).is_file()
    return source.is_file() and source.stat().st_size > LARGE_BYTES


def _is_run(source: Path) -> bool:
    return source.is_dir() and any((source / name).is_file() for name in RUNS)


def program_in(argv: tuple[str, ...], project: Path) -> tuple[str, ...]:
    """Return a command whose program is found from a copy of its project as from the project itself."""
    program, *more = argv
    if os.sep in program and not Path(program).is_absolute() and ".." in Path(program).parts:
        program = os.path.normpath(
            project / program
        )  # and no link of it is followed: an environment's is one
    return (program, *more)
