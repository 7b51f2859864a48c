"""A run of an older or newer version is read, or refused with a sentence that says which one reads it."""

import json
from pathlib import Path

import pytest

from harness import __version__
from harness.errors import InputError
from harness.gate import folder as of_gate
from harness.run.folder import PLAN, RunFolder
from harness.run.formats import FORMAT, OLDEST, refuse_other_formats
from tests.harness.run.test_folder import PLAN as SMALL


def written(folder: Path, **changes: object) -> RunFolder:
    made = json.loads(SMALL.model_dump_json()) | changes
    (folder / PLAN).write_text(json.dumps({key: value for key, value in made.items() if value != "gone"}))
    return RunFolder(folder)


def test_what_says_no_format_is_of_the_first_and_read(tmp_path: Path) -> None:
    assert written(tmp_path, format="gone").plan().format == 1
    assert written(tmp_path, format=FORMAT).plan().format == FORMAT


def test_a_newer_one_is_refused_with_what_reads_it(tmp_path: Path) -> None:
    folder = written(tmp_path, format=FORMAT + 1, version="9.1.0", a_new_key=1)
    with pytest.raises(InputError) as caught:
        folder.plan()
    assert str(caught.value) == (
        f"{tmp_path / PLAN}: is of format {FORMAT + 1}, which agentrig 9.1.0 wrote; agentrig {__version__} "
        f"reads formats {OLDEST} to {FORMAT}. Read it with agentrig 9.1.0 or a newer one."
    )


def test_an_older_one_is_refused_with_what_reads_it() -> None:
    with pytest.raises(InputError, match=r"reads formats 2 to 3\. Read it with agentrig 0\.0\.9\.$"):
        refuse_other_formats(b'{"format": 1, "version": "0.0.9"}', Path("plan.json"), oldest=2, newest=3)
    with pytest.raises(InputError, match="agentrig of an unknown version"):
        refuse_other_formats(b"{}", Path("plan.json"), oldest=2, newest=3)


def test_one_that_does_not_fit_says_who_wrote_it(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"quick: .*\. agentrig 0\.0\.9 wrote it: read it with that version$"
    ):
        written(tmp_path, version="0.0.9", quick="gone").plan()
    with pytest.raises(InputError) as caught:
        written(tmp_path, version=__version__, quick="gone").plan()
    assert "wrote it" not in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"format": "x"}', b"\xff"])
def test_what_is_no_plan_is_for_others_to_tell(text: bytes) -> None:
    refuse_other_formats(text, Path("plan.json"))


def test_the_gates_runs_have_it_too(tmp_path: Path) -> None:
    said = {"started_s": 1.0, "labels": {}, "conditions": {"steady": {}}, "version": "9.1.0"}
    (tmp_path / of_gate.PLAN).write_text(json.dumps(said))
    assert of_gate.read_plan(tmp_path).format == 1
    (tmp_path / of_gate.PLAN).write_text(json.dumps(said | {"format": FORMAT + 1}))
    with pytest.raises(InputError, match=r"Read it with agentrig 9\.1\.0 or a newer one"):
        of_gate.read_plan(tmp_path)
