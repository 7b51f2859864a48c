"""Makes the runs anew that the mutations are of: `python -m tests.mutations.record`, some ten minutes.

It takes real fleets, at rates that any machine carries. A run is packed only if every check of it held or was
caught as it must be: what is unknown or red already can't show that a mutation changes it.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from harness.analysis.join import join
from harness.clock import SystemClock
from harness.commands.progress import TerminalProgress
from harness.experiment.load import load
from harness.records.outcome import Outcome
from harness.run import pipeline
from harness.run.pipeline import RunSettings
from tests.mutations.saved import (
    EXPERIMENTS,
    FILES,
    MOST_BYTES,
    PARTS,
    pack,
    packed,
    put_into_packed,
    read,
)


def main() -> None:
    """Run the experiments, and pack what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="keep the run folder here")
    parser.add_argument(
        "names",
        nargs="*",
        default=list(PARTS),
        help="parts; or experiments, which are put into the packed run of their part",
    )
    asked = parser.parse_args()
    known = {*PARTS, *(name for of_part in PARTS.values() for name in of_part)}
    if unknown := set(asked.names) - known:
        parser.error(f"neither a part nor an experiment of one: {', '.join(sorted(unknown))}")
    for part, of_part in PARTS.items():
        names = sorted(of_part if part in asked.names else of_part.intersection(asked.names))
        if names:
            record(part, names, asked.out)


def record(part: str, names: list[str], out: Path | None) -> None:
    """Run some experiments of a part, and pack what was seen: all of it, or these in place of what it has."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = (out or Path(scratch)) / part
        run(folder, names)
        open_checks = not_as_they_must_be(folder)
        sys.stdout.write("".join(f"{line}\n" for line in open_checks))
        if open_checks:
            sys.exit("not packed: some checks did not come out as they must; run it again on a quiet machine")
        if set(names) == PARTS[part]:
            pack(folder, part)
        else:
            put_into_packed(folder, part)
    size = packed(part).stat().st_size
    sys.stdout.write(f"{packed(part)}: {size} bytes, of {', '.join(FILES)}\n")
    if size > MOST_BYTES:
        sys.exit(f"that is more than {MOST_BYTES} bytes: shorten an experiment")


def run(folder: Path, names: list[str]) -> None:
    """Run the experiments at the rates they are written with."""
    files = sorted(EXPERIMENTS.glob("*.toml"))
    specs = [load(str(file), pipeline.known()) for file in files if file.stem in names]
    clock = SystemClock()
    with TerminalProgress(Console(stderr=True), clock.monotonic) as progress:
        pipeline.run(specs, RunSettings(out=folder, rate_scale=1.0), progress, clock)


def not_as_they_must_be(folder: Path) -> list[str]:
    """Return a line for each check that did not hold, or was not caught."""
    lines = []
    for spec, arms in read(folder).values():
        result, _ = pipeline.conclude(spec, {arm: join(data) for arm, data in arms.items()})
        lines += [
            f"{spec.name}: {check.id} in {check.arm}: {check.verdict.value}: {check.message}"
            for check in result.checks
            if check.verdict is not Outcome.PASS
        ]
    return lines


if __name__ == "__main__":
    main()
