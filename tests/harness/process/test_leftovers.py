"""Records of harnesses, and what is removed by them; that processes are killed is shown in `tests/e2e`."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from harness.process import leftovers

MARK = "agentrig-1-none-has-this"


def record(folder: Path, *lines: object, mark: str = MARK) -> Path:
    file = folder / "one.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in ({"mark": mark}, *lines)))
    return file


def scratch(folder: Path, name: str, mark: str = MARK) -> Path:
    made = folder / name
    made.mkdir()
    (made / "sessions.db").touch()
    (made / f".{mark}").touch()
    return made


def test_a_record_tells_what_has_not_ended(tmp_path: Path) -> None:
    file = record(tmp_path, {"session": 7}, {"folder": "/w"}, {"session": 8}, {"no-session": 7})
    assert leftovers.read(file) == (MARK, {8}, [Path("/w")], [], [])


def test_a_record_tells_of_fleets_in_an_engine_that_are_still_there(tmp_path: Path) -> None:
    file = record(
        tmp_path,
        {"fleet": "/run/an engine.sock f1"},
        {"fleet": "/run/d.sock f2"},
        {"no-fleet": "/run/d.sock f2"},
        {"fleet": "odd"},
    )
    assert leftovers.read(file).fleets == [("/run/an engine.sock", "f1")]


def test_a_record_stays_while_its_engine_is_away(tmp_path: Path) -> None:
    kept = record(tmp_path, {"fleet": f"{tmp_path}/no-engine.sock f1"})
    leftovers.clean(kept, its_sessions=False)
    assert kept.exists()


def test_a_record_tells_of_fleets_in_clusters_that_are_still_there(tmp_path: Path) -> None:
    one, two = ["ctx", "/k/config", "agentrig-1"], ["", "", "agentrig-2"]
    file = record(
        tmp_path, *({"namespace": each} for each in (one, two, "odd", ["x"])), {"no-namespace": one}
    )
    assert leftovers.read(file).namespaces == [("", "", "agentrig-2")]


@pytest.mark.parametrize("gone", [True, False])
def test_a_record_stays_until_its_namespace_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, gone: bool
) -> None:
    asked = list[leftovers.OfCluster]()

    def remove(fleet: leftovers.OfCluster) -> bool:
        asked.append(fleet)
        return gone

    monkeypatch.setattr(leftovers, "remove_namespace", remove)
    file = record(tmp_path, {"namespace": ["ctx", "/k", "agentrig-1"]})
    leftovers.clean(file, its_sessions=False)
    assert asked == [("ctx", "/k", "agentrig-1")]
    assert file.exists() != gone


def test_a_record_of_a_cluster_that_never_comes_back_is_dropped_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "remove_namespace", lambda _: False)
    file = record(tmp_path, {"namespace": ["ctx", "/k", "agentrig-1"]})
    os.utime(file, (1.0, 1.0))
    leftovers.clean(file, its_sessions=False)
    assert not file.exists()


def test_a_fleet_is_removed_from_an_engine_containers_first() -> None:
    there, asked = {"containers": ["c1", "c2"], "networks": ["n1"]}, list[str]()

    def ask(method: str, target: str) -> tuple[int, bytes]:
        asked.append(f"{method} {target.partition('?')[0]}")
        part = "containers" if target.startswith("/containers") else "networks"
        if method == "DELETE":
            there[part].remove(target.partition("?")[0].rpartition("/")[2])
            return 204, b""
        assert "%22agentrig%2Efleet%3Df1%22" in target
        return 200, json.dumps([{"Id": each} for each in there[part]]).encode()

    assert leftovers.remove_fleet(ask, "f1") == []
    deleted = [each for each in asked if each.startswith("DELETE")]
    assert deleted == ["DELETE /containers/c1", "DELETE /containers/c2", "DELETE /networks/n1"]


def test_what_an_engine_does_not_let_go_is_told() -> None:
    assert leftovers.remove_fleet(lambda *_: (200, b'[{"Id": "c1", "Name": "bot"}]'), "f1") == ["bot", "bot"]
    assert "does not answer" in leftovers.remove_fleet(lambda *_: (500, b"{}"), "f1")[0]


def test_lines_that_are_none_are_left_out(tmp_path: Path) -> None:
    file = record(tmp_path, {"session": 7}, {"no-session": 9}, {"other": 1}, [3], {"session": "x"})
    with file.open("ab") as more:
        more.write(b'\xff\n{"session": 1')
    assert leftovers.read(file) == (MARK, {7}, [], [], [])


def test_its_folders_are_removed_and_nobody_elses(tmp_path: Path) -> None:
    mine, anothers = scratch(tmp_path, "mine"), scratch(tmp_path, "anothers", "agentrig-2-none-has-this")
    kept = record(tmp_path, *({"folder": str(folder)} for folder in (mine, anothers, tmp_path)))
    leftovers.clean(kept, its_sessions=False)
    assert not mine.exists()
    assert (anothers / "sessions.db").exists()
    assert not kept.exists()


def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    target, link = scratch(tmp_path, "target"), tmp_path / "link"
    link.symlink_to(target)
    leftovers.clean(record(tmp_path, {"folder": str(link)}), its_sessions=False)
    assert (target / "sessions.db").exists()


def test_a_record_that_is_held_is_left_alone(tmp_path: Path) -> None:
    mine = scratch(tmp_path, "mine")
    kept = record(tmp_path, {"folder": str(mine)})
    with kept.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        leftovers.clean_all(tmp_path)
        assert kept.exists()
        assert mine.exists()
    leftovers.clean_all(tmp_path)
    assert not kept.exists()
    assert not mine.exists()


def test_a_record_without_a_mark_kills_and_removes_nothing(tmp_path: Path) -> None:
    folder = scratch(tmp_path, "mine", "")
    leftovers.clean(record(tmp_path, {"folder": str(folder)}, mark=""), its_sessions=False)
    assert folder.exists()
