"""Makes the samples of the documentation from the folder of a run: `python -m docs.pictures.samples RUN`.

They are its report, one of its traces, and what the terminal said at its end, as a picture. The run is one of
`agentrig demo`; what is drawn is judged anew from its files.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from harness.clock import SystemClock
from harness.commands.progress import TerminalProgress
from harness.records.calibration import describe
from harness.records.outcome import RunResult
from harness.report.terminal import summary
from harness.run import pipeline
from harness.run.folder import Plan
from harness.traces.pages import Pages
from harness.traces.store import of_run

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "samples"
WIDTH = 88
FETCHED = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""Fonts from elsewhere: a picture of the documentation has the reader's own."""
LINK = re.compile(r'<a href="/[^"]*">(.*?)</a>', re.DOTALL)
"""To another page of `agentrig traces`, which a single file has not."""
SLOW = ("cold-start", "naive-cache")
"""The arm whose slowest trace is shown: it waits for clients that others build as well."""


def main() -> None:
    """Write the samples of the run that is named."""
    (run,) = map(Path, sys.argv[1:])
    result, folder = pipeline.judge_saved(run)
    SAMPLES.mkdir(exist_ok=True)
    SAMPLES.joinpath("report.html").write_text((run / "report.html").read_text("utf-8"), "utf-8")
    SAMPLES.joinpath("trace.html").write_text(trace(run, result), "utf-8")
    HERE.joinpath("demo.svg").write_text(terminal(result, folder.plan()), "utf-8")


def trace(run: Path, result: RunResult) -> str:
    """Return the page of the slowest trace of an arm."""
    store = of_run(run)
    store.refresh()
    (arm,) = [each.arms[SLOW[1]] for each in result.experiments if each.name == SLOW[0]]
    page = Pages(store, "of a run of agentrig demo").answer(f"/trace/{arm.slowest_trace}", {})
    return LINK.sub(r"\1", page.text)


def terminal(result: RunResult, plan: Plan) -> str:
    """Return what the demo says, its live lines left out, as a picture."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text("agentrig demo", style="bold"))
    progress = TerminalProgress(console, SystemClock().monotonic)
    if plan.calibration is not None:
        console.print(describe(plan.calibration), highlight=False)
    for experiment in result.experiments:
        progress.judged(experiment)
    console.print(summary(result, Path("runs") / plan.run_id / "report.html"))
    drawn = console.export_svg(title="agentrig demo", theme=MONOKAI, unique_id="demo")
    return FETCHED.sub("", drawn)


if __name__ == "__main__":
    main()
