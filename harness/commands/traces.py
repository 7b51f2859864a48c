"""`agentrig traces`: the traces of a run, on a page of our own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.console import out, print_error
from harness.commands.run import RunPath
from harness.errors import InputError
from harness.traces.pages import Pages
from harness.traces.server import listen, server, url_of
from harness.traces.store import of_run


def traces(
    run_path: RunPath,
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where; 0 takes a free one.")] = 0,
) -> None:
    """Show the traces of a saved run in a browser, until Ctrl-C: searched, drawn and compared. No Docker.

    Example: `agentrig traces runs/20260101-120000-ab12`
    """
    store = of_run(run_path, print_error)
    store.refresh()
    try:
        listening = listen(port)
    except OSError as error:
        raise InputError(
            f"--port {port}: {error.strerror}. Leave it out, and a free one is taken."
        ) from error
    with listening:
        out.print(
            f"traces of {run_path}: {url_of(listening)}  (Ctrl-C ends it)", highlight=False, soft_wrap=True
        )
        server(Pages(store, _named(run_path))).run([listening])


def _named(run_path: Path) -> str:
    return f"of {run_path.resolve().name}"
