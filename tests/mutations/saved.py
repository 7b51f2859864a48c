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
PACKED = Path(__file__).parent / "run.tar.xz"
MOST_BYTES = 2_000_000
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


def pack(folder: Path) -> None:
    """Put the files of a run into the archive, the same bytes for the same run.

    The ids of traces and spans are numbered: drawn ones are a fifth of the archive.
    """
    numbers: dict[str, str] = {}
    plan = RunFolder.open(folder).plan().model_copy(update={"machine": {}})  # any machine would do
    with tarfile.open(PACKED, "w:xz", preset=9) as archive:
        for name in FILES:
            content = (folder / name).read_bytes()
            if name == run_folder.PLAN:
                content = plan.model_dump_json().encode()
            content = ID.sub(lambda found: _numbered(found, numbers), content.decode()).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, BytesIO(content))


def put_into_packed(folder: Path) -> None:
    """Pack the run that is packed with some experiments of another one, in place of what it has of these."""
    with tempfile.TemporaryDirectory() as scratch:
        packed = _unpacked(Path(scratch))
        plan, more = RunFolder.open(packed).plan(), RunFolder.open(folder).plan()
        new = {spec.name for spec in more.experiments}
        for name in FILES:
            if name == run_folder.PLAN:
                continue
            lines = (packed / name).read_text("utf-8").splitlines(keepends=True)
            kept = [line for line in lines if not new & _experiments(line)]
            (packed / name).write_text("".join(kept) + (folder / name).read_text("utf-8"), "utf-8")
        specs = (*(spec for spec in plan.experiments if spec.name not in new), *more.experiments)
        text = plan.model_copy(update={"experiments": specs}).model_dump_json()
        (packed / run_folder.PLAN).write_text(text, "utf-8")
        pack(packed)


def _experiments(line: str) -> set[str]:
    return {name for names in OF_EXPERIMENT.findall(line) for name in names if name}


def _unpacked(folder: Path) -> Path:
    with tarfile.open(PACKED) as archive:
        archive.extractall(folder, filter="data")
    return folder


def _numbered(found: re.Match[str], numbers: dict[str, str]) -> str:
    key, drawn = found.groups()
    number = numbers.setdefault(drawn, f"{len(numbers) + 1:0{len(drawn)}x}")
    return f'"{key}":"{number}"'


@cache
def recorded() -> Mapping[str, tuple[ExperimentSpec, Arms]]:
    """Read the recorded run: what was asked and what was seen, by experiment."""
    with tempfile.TemporaryDirectory() as unpacked:
        return read(_unpacked(Path(unpacked)))


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
