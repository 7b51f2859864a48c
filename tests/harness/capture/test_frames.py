import struct
from pathlib import Path
from typing import Any

import pytest

from harness.capture.frames import HEAD, Encoding, FrameWriter, RawCount, count, read_frames
from harness.errors import InputError, StartError


def written(path: Path, *payloads: bytes) -> Path:
    writer = FrameWriter(path)
    for number, payload in enumerate(payloads):
        writer.append(float(number), Encoding.PROTOBUF, payload)
    writer.close()
    return path


def test_what_was_appended_is_read_back(tmp_path: Path) -> None:
    frames = list(read_frames(written(tmp_path / "a.raw", b"one", b"", b"three" * 1000)))
    assert [(f.number, f.time_s, f.payload) for f in frames] == [
        (1, 0.0, b"one"),
        (2, 1.0, b""),
        (3, 2.0, b"three" * 1000),
    ]
    assert {f.encoding for f in frames} == {Encoding.PROTOBUF}


def test_a_frame_is_in_the_file_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path / "a.raw")
    writer.append(1.0, Encoding.JSON, b"{}")
    assert [frame.payload for frame in read_frames(tmp_path / "a.raw")] == [b"{}"]
    writer.close()


def test_a_second_writer_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    written(tmp_path / "a.raw", b"one")
    written(tmp_path / "a.raw", b"two")
    assert [frame.payload for frame in read_frames(tmp_path / "a.raw")] == [b"one", b"two"]


@pytest.mark.parametrize("cut", [1, 4, 4 + HEAD.size - 1])
def test_a_last_frame_that_was_cut_off_is_left_out_and_counted(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "a.raw", b"one", b"four")
    path.write_bytes(path.read_bytes()[:-cut])
    assert [frame.payload for frame in read_frames(path)] == [b"one"]
    assert count(path) == RawCount(frames=1, cut_off_bytes=HEAD.size + 4 - cut)


def test_a_whole_file_has_nothing_cut_off(tmp_path: Path) -> None:
    assert count(written(tmp_path / "a.raw", b"one", b"two")) == RawCount(frames=2, cut_off_bytes=0)


def test_an_empty_file_has_no_frames(tmp_path: Path) -> None:
    assert list(read_frames(written(tmp_path / "a.raw"))) == []


def test_a_file_of_something_else_is_told_by_name_and_frame(tmp_path: Path) -> None:
    path = written(tmp_path / "a.raw", b"one")
    path.write_bytes(path.read_bytes() + struct.pack(">dBI", 0.0, 9, 0))
    with pytest.raises(InputError, match=r"a\.raw: frame 2: .* number 9"):
        list(read_frames(path))


def test_a_file_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.raw: cannot be read: No such file"):
        list(read_frames(tmp_path / "gone.raw"))


def test_a_folder_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"nowhere/a\.raw: cannot be written to"):
        FrameWriter(tmp_path / "nowhere" / "a.raw")


def test_a_full_disk_leaves_no_half_frame_behind_and_nothing_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def write(self, data: memoryview) -> int:
            if len(data) < 10:
                raise OSError(28, "No space left on device")
            return int(self.file.write(data[:10]))

    writer = FrameWriter(tmp_path / "a.raw")
    writer.append(1.0, Encoding.PROTOBUF, b"one")
    whole = writer._file
    monkeypatch.setattr(writer, "_file", FullDisk(whole))
    with pytest.raises(OSError, match="No space left"):
        writer.append(2.0, Encoding.PROTOBUF, b"lost")
    monkeypatch.setattr(writer, "_file", whole)
    writer.append(3.0, Encoding.PROTOBUF, b"two")
    writer.close()
    assert [frame.payload for frame in read_frames(tmp_path / "a.raw")] == [b"one", b"two"]
