"""The recorded run: packed, unpacked, and read once for all mutations of it."""

import re
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from io import BytesIO
from pathlib import Path

from harness.records.history import ArmData
from harness.records.spec import ExperimentSpec
from harness.run import folder as run_folder
from harness.run.folder import RunFolder
from harness.run.pipeline import read_arms

EXPERIMENTS = Path(__file__).parent / "experiments"
PARTS: Mapping[str, frozenset[str]] = {
    "run": frozenset({"clients", "leave", "limit", "ramp", "retry", "routing", "scaling", "sessions"}),
    "copies": frozenset({"frozen", "restored", "soak"}),
    "scaled": frozenset({"autoscale", "zero"}),
    "weather": frozenset({"weather"}),
    "outside": frozenset({"outside"}),
}
"""What is recorded together, and packed into one archive each, by the experiments in it."""
MOST_BYTES = 2_000_000
"""Of an archive."""
FILES = (
    run_folder.PLAN,
    run_folder.ARMS,
    run_folder.REQUESTS,
    run_folder.SPANS,
    run_folder.JOURNAL,
    run_folder.METRICS,
)
"""What a run can be judged from; the rest of its folder is made of these."""

ID = re.compile(r'"(trace_?[iI]d|span_?[iI]d|parent_?[sS]pan_?[iI]d)":"([0-9a-f]+)"')
OF_EXPERIMENT = re.compile(
    r'"experiment":"([\w-]+)"|"agentrig.experiment","value":\{"stringValue":"([\w-]+)"'
)
"""Where a line says which experiment it is of: a record of ours, or spans."""
Arms = Mapping[str, ArmData]


def packed(part: str) -> Path:
    """Return the archive of a part."""
    return Path(__file__).parent / f"{part}.tar.xz"


def pack(folder: Path, part: str) -> None:
    """Put the files of a run into the archive of a part, the same bytes for the same run.

    The ids of traces and spans are numbered: drawn ones are a fifth of the archive.
    """
    numbers: dict[str, str] = {}
    plan = RunFolder.open(folder).plan().model_copy(update={"machine": {}})  # any machine would do
    with tarfile.open(packed(part), "w:xz", preset=9) as archive:
        for name in FILES:
            content = (folder / name).read_bytes()
            if name == run_folder.PLAN:
                content = plan.model_dump_json().encode()
            content = ID.sub(lambda found: _numbered(found, numbers), content.decode()).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, BytesIO(content))


def put_into_packed(folder: Path, part: str) -> None:
    """Pack the run of a part with some experiments of another run, in place of what it has of these."""
    with tempfile.TemporaryDirectory() as scratch:
        before = unpacked(part, Path(scratch))
        plan, more = RunFolder.open(before).plan(), RunFolder.open(folder).plan()
        new = {spec.name for spec in more.experiments}
        for name in FILES:
            if name == run_folder.PLAN:
                continue
            lines = (before / name).read_text("utf-8").splitlines(keepends=True)
            kept = [line for line in lines if not new & _experiments(line)]
            (before / name).write_text("".join(kept) + (folder / name).read_text("utf-8"), "utf-8")
        specs = (*(spec for spec in plan.experiments if spec.name not in new), *more.experiments)
        text = plan.model_copy(update={"experiments": specs}).model_dump_json()
        (before / run_folder.PLAN).write_text(text, "utf-8")
        pack(before, part)


def _experiments(line: str) -> set[str]:
    return {name for names in OF_EXPERIMENT.findall(line) for name in names if name}


def unpacked(part: str, folder: Path) -> Path:
    with tarfile.open(packed(part)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _numbered(found: re.Match[str], numbers: dict[str, str]) -> str:
    key, drawn = found.groups()
    number = numbers.setdefault(drawn, f"{len(numbers) + 1:0{len(drawn)}x}")
    return f'"{key}":"{number}"'


@cache
def recorded() -> Mapping[str, tuple[ExperimentSpec, Arms]]:
    """Read the recorded run: what was asked and what was seen, by experiment."""
    found: dict[str, tuple[ExperimentSpec, Arms]] = {}
    for part in PARTS:
        with tempfile.TemporaryDirectory() as folder:
            found |= read(unpacked(part, Path(folder)))
    return found


def read(path: Path) -> Mapping[str, tuple[ExperimentSpec, Arms]]:
    """Read a run folder, by experiment.

    What neighbours took of the machine is left out: where it is much, a fault in times is rightly unknown,
    and the mutations are about the faults.
    """
    folder = RunFolder.open(path)
    arms = read_arms(folder)
    return {
        spec.name: (
            spec,
            {
                arm: replace(data, facts=replace(data.facts, others_cores=0.0))
                for (experiment, arm), data in arms.items()
                if experiment == spec.name
            },
        )
        for spec in folder.plan().experiments
    }
