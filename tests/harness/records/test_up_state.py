import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.records import up_state
from harness.records.setup import Container
from harness.records.up_state import UpState
from harness.under_test import RequestShape

UP = UpState(
    pid=os.getpid(),
    url="http://127.0.0.1:1",
    simulator_url="http://127.0.0.1:2",
    containers=(Container(name="agent-1", address="127.0.0.1:3"),),
)


def test_a_fleet_that_is_up_is_found(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "up.json"
    up_state.write(UP, file, tmp_path)
    assert up_state.read(file) == UP


def test_a_fleet_whose_process_is_gone_is_not_up(tmp_path: Path) -> None:
    pid_of_none = 2**22 + 1  # above the kernel's largest
    up_state.write(replace(UP, pid=pid_of_none), tmp_path / "state" / "up.json", tmp_path)
    assert up_state.read(tmp_path / "state" / "up.json") is None


def test_what_it_says_of_how_the_fleet_is_asked_goes_with_the_fleets_scratch_folder(tmp_path: Path) -> None:
    file, work = tmp_path / "state" / "up.json", tmp_path / "work"
    work.mkdir()
    up_state.write(replace(UP, request=RequestShape(prompts=("marked",))), file, work)
    up_state.write(replace(UP, request=RequestShape(prompts=("marked too",))), file, work)
    assert (found := up_state.read(file))
    assert found.request == RequestShape(prompts=("marked too",))
    shutil.rmtree(work)
    assert not [each for each in tmp_path.rglob("*") if each.is_file()]
    assert up_state.read(file) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "containers": []}'])
def test_a_damaged_file_is_no_fleet(tmp_path: Path, text: str) -> None:
    (tmp_path / "up.json").write_text(text)
    assert up_state.read(tmp_path / "up.json") is None


def test_without_a_file_nothing_is_up(tmp_path: Path) -> None:
    assert up_state.read(tmp_path / "up.json") is None


def test_the_file_follows_the_state_folder_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert up_state.default_file() == Path("/state/agentrig/up.json")


def test_a_user_without_a_home_has_no_state(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert not up_state.default_file().exists()
