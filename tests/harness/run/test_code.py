"""Which code made a run."""

from pathlib import Path

from harness import __version__
from harness.run.code import digest, running


def test_a_version_and_a_digest_name_the_code() -> None:
    version, _, told = running().partition("+")
    assert version == __version__
    assert len(told) == 12


def test_a_digest_changes_with_a_source_and_with_its_name_alone(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    source = tmp_path / "deep" / "one.py"
    source.write_text("1")
    first = digest([tmp_path])
    (tmp_path / "one.pyc").write_text("what is made of it")
    assert digest([tmp_path]) == first
    source.write_text("2")
    changed = digest([tmp_path])
    source.rename(tmp_path / "deep" / "two.py")
    assert len({first, changed, digest([tmp_path])}) == 3
