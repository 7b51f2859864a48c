"""`agentrig init`: describes a project's agent in an agentrig.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.asking.described import FILE
from harness.commands import schema
from harness.commands.console import out
from harness.errors import InputError
from harness.own.detect import detect
from harness.own.write import text_of, write, write_schema


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The agent's project.")] = Path(),
    *,
    force: Annotated[bool, typer.Option("--force", help="Write over the file that is there.")] = False,
) -> None:
    """Look at a project, and write a commented agentrig.toml that says how its agent is started and asked.

    Beside it agentrig.schema.json is written: an editor completes and checks the file by that.

    Example: `agentrig init`, then `agentrig doctor`, then `agentrig run --quick`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder. Give the one that your agent is in.")
    found = detect(folder)
    file = write(folder, text_of(found, folder.resolve().name), force=force)
    write_schema(folder, schema.text_of(FILE))
    out.print(f"{file}: {found.kind}", highlight=False, markup=False, soft_wrap=True)
    for note in found.notes:
        out.print(f"look at this: {note}", highlight=False, markup=False, soft_wrap=True)
    out.print("Next: agentrig doctor, then agentrig run --quick", highlight=False)
