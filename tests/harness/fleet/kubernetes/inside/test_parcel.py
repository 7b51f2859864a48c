"""A run folder that went out of a pod is the one that came here, or none."""

import io
import tarfile
from pathlib import Path

import pytest

from harness.errors import StartError
from harness.fleet.kubernetes.inside import parcel as module
from harness.fleet.kubernetes.inside.parcel import Parcel, command, fetch, pack, unpack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    (made / "logs" / "cold-start").mkdir(parents=True)
    (made / "plan.json").write_bytes(b"{}")
    (made / "spans.jsonl").write_bytes(bytes(range(256)) * 5000)
    (made / "logs" / "cold-start" / "agent-1.log").write_bytes(b"")
    (made / "outside").symlink_to(tmp_path)
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(each.relative_to(folder)): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file() and not each.is_symlink()
    }


def test_it_is_the_same_afterwards_in_however_many_pieces(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 100)
    packed = tmp_path / "packed"
    parcel = pack(folder, packed)
    asked: list[int] = []

    def piece(from_byte: int, size: int) -> bytes:
        asked.append(size)
        return packed.read_bytes()[from_byte : from_byte + size]

    fetch(parcel, tmp_path / "fetched", piece)
    assert sum(asked) == parcel.size
    assert max(asked) == 100
    into = tmp_path / "into"
    (into / "logs").mkdir(parents=True)
    unpack(tmp_path / "fetched", into)
    assert files(into) == files(folder)
    assert not (into / "outside").exists(), "a link is no file of a run"


def test_one_byte_that_is_another_is_found(folder: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    parcel = pack(folder, packed)
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 1
    with pytest.raises(StartError, match="checksum"):
        fetch(parcel, tmp_path / "fetched", lambda at, size: bytes(content[at : at + size]))


def test_a_folder_that_is_not_there_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    pack(tmp_path / "none", tmp_path / "packed")
    unpack(tmp_path / "packed", tmp_path / "into")
    assert not files(tmp_path / "into")


@pytest.mark.parametrize("name", ["../beside", "/etc/passwd", "a/../../b"])
def test_nothing_is_written_beside_the_folder(tmp_path: Path, name: str) -> None:
    into = tmp_path / "into"
    into.mkdir()
    with tarfile.open(tmp_path / "packed", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(StartError, match="no run folder"):
        unpack(tmp_path / "packed", into)
    assert not list(into.iterdir())


def test_a_link_in_it_and_a_link_here_are_not_followed(tmp_path: Path) -> None:
    into, secret = tmp_path / "into", tmp_path / "secret"
    into.mkdir()
    secret.write_text("mine")
    link = tarfile.TarInfo("plan.json")
    link.type, link.linkname = tarfile.SYMTYPE, str(secret)
    with tarfile.open(tmp_path / "packed", "w:gz") as archive:
        archive.addfile(link)
    with pytest.raises(StartError, match="no run folder"):
        unpack(tmp_path / "packed", into)
    (into / "plan.json").symlink_to(secret)
    with tarfile.open(tmp_path / "packed", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("plan.json"), io.BytesIO())
    unpack(tmp_path / "packed", into)
    assert secret.read_text() == "mine"


def test_what_is_no_archive_or_has_no_room_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"no archive")
    with pytest.raises(StartError, match="came back from the cluster"):
        unpack(tmp_path / "odd", tmp_path)
    with pytest.raises(StartError, match="can't be written"):
        fetch(Parcel(1, ""), tmp_path / "none" / "file", lambda *_: b"a")
    pack(folder, tmp_path / "packed")
    whole = (tmp_path / "packed").read_bytes()
    (tmp_path / "half").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "into").mkdir()
    with pytest.raises(StartError, match="is damaged"):
        unpack(tmp_path / "half", tmp_path / "into")


def test_a_piece_is_read_by_what_every_image_of_the_harness_has() -> None:
    program, *_, file, from_byte, size = command("/f", 3, 4)
    assert (program, file, from_byte, size) == ("python3", "/f", "3", "4")


def test_who_packs_is_heard_of_meanwhile_and_a_file_of_two_names_is_there_twice(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "again.jsonl").hardlink_to(folder / "spans.jsonl")
    looks = list[int]()
    pack(folder, tmp_path / "packed", lambda: looks.append(1))
    assert len(looks) > 2 * 256 * 5000 / (64 * 1024), "a file of gigabytes takes minutes"
    (tmp_path / "into").mkdir()
    unpack(tmp_path / "packed", tmp_path / "into")
    assert files(tmp_path / "into") == files(folder)
